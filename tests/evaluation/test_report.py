"""Reports: made of rows alone, and what is published is what the rows that ship say."""

import csv
import io
import json
import re

import pytest

from molorec import cli, config
from molorec.errors import BadInput
from molorec.evaluation import entropies, report, rows, runs, table
from molorec.mixture.lam import to_saved
from tests.conftest import system_rows


@pytest.fixture
def kept():
    made = [system_rows("mixed", lam=to_saved(0.25)), system_rows("popularity", lam=None, ranks=(2, 30, 2)),
            system_rows("specific", lam=to_saved(0.0), ranks=(1, 1, 3)),
            system_rows("general", lam=to_saved(1.0), ranks=(4, 4, 4)),
            system_rows("SASRec", lam=None, ranks=(1, 2, 3))]
    for each in made:
        rows.save(each)
    return rows.load()[0]


def test_systems_stand_in_one_order_and_test_sets_apart(kept):
    found = report.tests([*kept, system_rows("mixed", setting="new-item", lam=to_saved(0.25))])
    assert [name.split()[1] for name in found] == ["warm-quick", "new-item-quick"]
    assert [each.system for each in next(iter(found.values()))] == ["popularity", "SASRec", "general", "specific", "mixed"]


def test_a_few_shot_table_stands_apart_and_says_of_how_many(kept):
    few = [system_rows(each.system, lam=each.lam, made_with={**each.made_with, "share": 0.1}) for each in kept]
    found = report.tests([*few, *kept])
    assert list(found) == ["toybox warm-quick", "toybox warm-quick-few-10"]
    texts = [report.markdown(table.of(each)) for each in found.values()]
    assert "has learned from 10% of its people" in texts[1] and "Few-shot" not in texts[0]


def test_a_table_says_score_interval_difference_and_what_it_is_of(kept):
    text = report.markdown(table.of(next(iter(report.tests(kept).values()))))
    lines = text.splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|") == 10
    specific = next(line for line in lines if line.startswith("| specific"))
    assert "| .667 |" in specific and "+.667 [" in specific  # two of three first, against none
    assert "3 people" in text and "a guess scores .033" in text


def test_a_baseline_that_did_not_reach_its_papers_figure_is_marked(kept):
    systems = next(iter(report.tests(kept).values()))
    text = report.markdown(table.of(systems))
    assert "| SASRec † |" in text and "† SASRec: not held to a published figure" in text

    def held(within, reached):
        found = {"within": within, "reached": reached}
        return report.markdown(table.of([each if each.system != "SASRec" else system_rows(
            "SASRec", lam=None, made_with={**each.made_with, "reproduced": found}) for each in systems]))

    assert "† SASRec: more than .02 from the figure published for it" in held(False, False)
    assert "† SASRec: more than .02 above the figure published for it" in held(False, True)
    assert "†" not in held(True, True)


@pytest.mark.parametrize(("best", "epochs", "said"), [(8, 8, True), (6, 8, True), (5, 8, False), (5, 7, False)])
def test_a_training_that_was_cut_off_while_it_rose_says_so(kept, best, epochs, said):
    made_with = {"validation": {"epoch": best, "epochs": epochs}, "recipe": {"epochs": 8, "patience": 3}}
    systems = [each if each.system != "SASRec" else system_rows("SASRec", lam=None, made_with={**each.made_with, **made_with})
               for each in next(iter(report.tests(kept).values()))]
    assert ("SASRec: trained to the last epoch that was allowed" in report.markdown(table.of(systems))) == said


def test_to_be_above_what_knows_nothing_is_no_feat(kept):
    others = [each for each in kept if each.system != "popularity"]
    blind = system_rows("popularity", lam=None, ranks=(30, 30, 30))
    text = report.markdown(table.of([blind, *others]))
    assert "minus popularity" not in text and "To popularity all candidates are alike" in text
    text = report.markdown(table.of([system_rows("popularity", lam=None, ranks=(30, 29, 30)), *others]))
    assert "minus popularity" in text and "alike" not in text


def test_a_tuned_lam_stands_beside_the_one_that_labels_would_have_chosen(kept):
    assert "oracle" not in report.markdown(table.of(kept))
    oracle = system_rows("oracle", lam=None, ranks=(1, 1, 1))
    mixed = next(each for each in kept if each.system == "mixed")
    difference, n = rows.compare(mixed, oracle)
    said = report.markdown(table.of([*kept, oracle])).splitlines()[-1]
    assert n == 3 and f"other half of the people: mixed −{abs(difference.mean):.3f}".replace("0.", ".") in said


def test_a_baseline_on_our_backbone_is_never_marked_and_says_what_it_is(kept):
    made_with = kept[0].made_with
    ours = [system_rows("P5-style", lam=None, made_with={**made_with, "base": "pico"}),
            system_rows("Top-5-generated", lam=None, made_with={**made_with, "base": "pico", "validity": 0.876, "written": 15})]
    systems = next(iter(report.tests([*ours, *kept]).values()))
    assert [each.system for each in systems][:4] == ["popularity", "SASRec", "P5-style", "Top-5-generated"]
    text = report.markdown(table.of(systems))
    assert "| P5-style |" in text and "| Top-5-generated |" in text
    assert "P5-style, Top-5-generated: after other papers' ideas, trained here on pico; not those papers' own models." in text
    assert "Of the titles that Top-5-generated wrote, 88% are in their list." in text
    without = report.markdown(table.of(next(iter(report.tests(kept).values()))))
    assert "other papers' ideas" not in without and "wrote" not in without


def test_the_command_makes_every_file_and_fills_what_quotes_a_table(kept, tmp_path, capsys):
    key = next(iter(report.tests(kept)))
    text = tmp_path / "TEXT.md"
    text.write_text(f"Before.\n<!-- table {key} -->\nold numbers\n<!-- end of table -->\nAfter.\n")
    cli.main(["report", "--out", str(tmp_path / "out"), "--fill", str(text), "--json"])
    assert json.loads(capsys.readouterr().out)["tests"][key][0] == "popularity"
    made = report.markdown(table.of(report.tests(kept)[key]))
    assert text.read_text() == f"Before.\n<!-- table {key} -->\n{made}\n<!-- end of table -->\nAfter.\n"
    assert made in (tmp_path / "out" / "report.md").read_text()
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out" / "report.csv").read_text("utf-8-sig"))))
    assert [line["system"] for line in lines] == ["popularity", "SASRec", "general", "specific", "mixed"]
    run = runs.read(tmp_path / "out" / f"{key.replace(' ', '-')}.json")
    assert run.system("SASRec").scores["ndcg@1"].mean == pytest.approx(float(lines[1]["ndcg@1"]))


def test_an_overview_has_a_line_for_each_test_set(kept):
    new = [system_rows("mixed", setting="new-item", lam=to_saved(1.0)), system_rows("base", setting="new-item", lam=None)]
    quotes = report.quotes(report.tables([*kept, *new])[0], [])
    lines = quotes("overview of toybox warm-quick and toybox new-item-quick").splitlines()
    assert lines[0] == "| test set | people | popularity | SASRec † | base | general | specific | mixed |"
    assert len(lines) == 4 and lines[2].startswith("| toybox warm | 3 | ") and ", λ 0.25 |" in lines[2]
    assert lines[3].split(" | ")[2:4] == ["", ""] and ", λ 1.00 |" in lines[3]
    some = quotes("overview of toybox warm-quick and toybox new-item-quick: SASRec, mixed")
    assert some.splitlines()[0] == "| test set | people | SASRec † | mixed |" and len(some.splitlines()) == 4
    with pytest.raises(BadInput, match="no rows for 'zoo warm-quick'"):
        report.quotes(report.tables(kept)[0], [])("overview of toybox warm-quick and zoo warm-quick")


def test_a_table_that_there_is_not_is_named(kept):
    with pytest.raises(BadInput, match="no rows for 'zoo warm-quick'; there are: toybox warm-quick"):
        report.fill("<!-- table zoo warm-quick -->\n<!-- end of table -->", report.quotes(report.tables(kept)[0], []))


def test_a_test_set_that_makes_no_table_is_named_and_the_others_are_made(kept):
    new = [system_rows(name, setting="new-item", made_with={**kept[0].made_with, "backend": "Local", "rule": rule})
           for name, rule in (("half", "sum"), ("mixed", "product"))]
    made, problems = report.tables([*new, *kept])
    assert list(made) == ["toybox warm-quick"]
    assert problems == ["toybox new-item-quick is left out: 'mixed' was not made with what 'half' was: rule is product and sum; "
                        "measure all of them in one evaluation"]


def test_without_rows_it_says_what_to_run(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "--out", str(tmp_path)])
    assert ended.value.code == 2 and "molorec evaluate" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["README.md", "PAPER.md"])
def test_published_tables_are_those_of_the_rows_that_ship(name):
    """The same command that made them changes nothing: `molorec report --rows assets/results/rows --fill README.md PAPER.md`."""
    text = (config.PACKAGE.parent / name).read_text("utf-8")
    found, problems = rows.load(rows.SHIPPED)
    learned, more = entropies.load(rows.SHIPPED)
    assert not problems and not more
    assert report.fill(text, report.quotes(report.tables(found)[0], learned)) == text
    assert name != "PAPER.md" or re.search("<!-- table ", text)


def test_results_that_ship_are_those_of_the_rows_that_ship():
    for name, systems in report.tests(rows.load(rows.SHIPPED)[0]).items():
        assert runs.read(runs.SHIPPED / f"{name.replace(' ', '-')}.json") == runs.record(table.of(systems))
