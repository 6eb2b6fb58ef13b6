"""Train a domain-specific adapter.

    python training_scripts/train_specific.py --domain movielens-1m --steps 2000 --threads 1

Checkpoints go to MOLOREC_HOME; the same command resumes after a stop. The best adapter is printed at the end.
"""

from molorec.training import command


def run() -> None:
    options = command.parser(__doc__.splitlines()[0])
    options.add_argument("--domain", required=True, help="a domain of the catalogue (see `molorec domains list`)")
    options.set_defaults(replay=1.0)
    arguments = options.parse_args()
    command.train(arguments, role="specific", domain=arguments.domain, names=[arguments.domain], shares=[1.0], targets=[])


if __name__ == "__main__":
    command.main(run)
