"""The figures of a GPU: one command measures all of them, on a processor as a dry run."""

from benchmarks import gpu
from molorec.errors import memory_in_words


def test_one_command_measures_every_figure_and_says_what_a_processor_cannot(capsys):
    gpu.main("--shape pico --precision nf4 --runs 1 --rows 1 --length 512".split())
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()
             if line.startswith("|")][2:]
    assert len(lines) == len(gpu.FIGURES)
    for (figure, _, value, *_), (name, _, found) in zip(gpu.FIGURES, lines, strict=True):
        assert name == figure
        assert found == "not measured" if value in ("GB", "busy") else float(found) > 0


def test_a_part_that_failed_is_said_to_have():
    assert "| sweep of 21 λ, s | ≤ 1.5 | failed |" in gpu.table({"nf4": {"sweep": {"failed": "out of memory", "GB": 80.0}}})


def test_training_takes_as_many_rows_as_there_is_memory_for(monkeypatch):
    bench, asked = gpu.Bench.__new__(gpu.Bench), []
    bench.rows, bench.device = 8, gpu.torch.device("cpu")

    def room_for_two(rows, checkpointing):
        asked.append(rows)
        with memory_in_words():  # as a training does
            if rows > 2:
                raise gpu.torch.OutOfMemoryError("CUDA out of memory")
        return {"rows": rows}

    monkeypatch.setattr(bench, "_training", room_for_two)
    assert bench.training(True) == {"rows": 2} and asked == [8, 4, 2]
