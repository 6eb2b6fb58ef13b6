"""In place of ZeroGPU's package: a call runs in a forked process, with arguments that were pickled, and it is noted."""

import multiprocessing
import os
import pickle
import sys

if "torch" in sys.modules:
    raise ImportError("spaces has to be imported before torch")

_fork = multiprocessing.get_context("fork")


def _there(function, arguments, answers):
    import torch

    torch.set_num_threads(1)  # a forked process has none of its parent's threads
    made = function(*pickle.loads(arguments))
    for part in made if hasattr(made, "__next__") else [made]:
        answers.put(pickle.dumps(part))
    answers.put(None)


def GPU(duration):  # noqa: N802 - the name that ZeroGPU gives it
    def decorate(function):
        def parts(*arguments):
            with open(os.environ["CALLS"], "a") as calls:
                calls.write(f"{function.__name__} {duration(*arguments):.2f}\n")
            answers = _fork.Queue()
            process = _fork.Process(target=_there, args=(function, pickle.dumps(arguments), answers))
            process.start()
            while (part := answers.get(timeout=120)) is not None:
                yield pickle.loads(part)
            process.join()

        def called(*arguments):
            return next(parts(*arguments))

        return parts if function.__name__ == "_write" else called
    return decorate
