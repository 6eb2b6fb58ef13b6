"""Train a recommender of another paper, and rank the stored lists with it.

    python training_scripts/train_baseline.py --model sasrec --reproduce --threads 1
    python training_scripts/train_baseline.py --model sasrec --domain movielens-1m --search --threads 1
    python training_scripts/train_baseline.py --model tallrec --domain movielens-1m --setting warm --threads 1

Without a language model: bpr-mf, gru4rec, sasrec, fmlp-rec, unisrec, vq-rec. As an adapter of our backbone, after a paper's idea:
p5, tallrec, recformer, top-5; these take half an hour of one core to train, much of an hour to rank the lists, and rank the split
"quick" unless told otherwise.

Checkpoints go to MOLOREC_HOME; the same command resumes after a stop. What is printed at the end are the files of rows.
"""

from molorec.baselines import command
from molorec.training.command import main

if __name__ == "__main__":
    main(lambda: command.train(command.parser(__doc__.splitlines()[0]).parse_args()))
