"""Train a domain-specific adapter.

    python training_scripts/train_specific.py --domain movielens-1m --steps 2000 --threads 1

With --share 0.1 it learns from a tenth of the users, who are among the fifth that --share 0.2 learns from. With --second-round
and --init-from a general adapter, that one is trained on instead: a baseline, which is never mixed.

Checkpoints go to MOLOREC_HOME; the same command resumes after a stop. The best adapter is printed at the end.
"""

from molorec.mixture.card import SECOND_ROUND
from molorec.training import command


def run() -> None:
    options = command.parser(__doc__.splitlines()[0])
    options.add_argument("--domain", required=True, help="a domain of the catalogue (see `molorec domains list`)")
    options.add_argument("--share", type=float, default=1.0, help="of the training users, in (0, 1]")
    options.add_argument("--second-round", action="store_true", help="train a general adapter on (--init-from), as a baseline")
    options.set_defaults(replay=1.0)
    arguments = options.parse_args()
    command.train(arguments, role=SECOND_ROUND if arguments.second_round else "specific", domain=arguments.domain,
                  names=[arguments.domain], shares=[1.0], targets=[], share=arguments.share)


if __name__ == "__main__":
    command.main(run)
