"""Train a recommender without a language model, and rank the stored lists with it.

    python training_scripts/train_baseline.py --model sasrec --reproduce --threads 1
    python training_scripts/train_baseline.py --model sasrec --domain movielens-1m --search --threads 1

Checkpoints go to MOLOREC_HOME; the same command resumes after a stop. What is printed at the end are the files of rows.
"""

from molorec.baselines import command
from molorec.training.command import main

if __name__ == "__main__":
    main(lambda: command.train(command.parser(__doc__.splitlines()[0]).parse_args()))
