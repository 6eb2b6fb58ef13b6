"""Train a domain-general adapter on several domains, without any title that occurs in a target domain.

    python training_scripts/train_general.py --domains films shop1 shop2 --shares 2 1 1 --targets movielens-1m

Checkpoints go to MOLOREC_HOME; the same command resumes after a stop. The best adapter is printed at the end.
"""

from molorec.errors import BadInput
from molorec.training import command


def run() -> None:
    options = command.parser(__doc__.splitlines()[0])
    options.add_argument("--domains", nargs="+", required=True, help="domains of the catalogue to train on")
    options.add_argument("--shares", nargs="+", type=float, help="how often each domain is drawn (default: equally)")
    options.add_argument("--targets", nargs="+", required=True,
                         help="domains whose titles must not be seen; all that the adapter will be judged on")
    options.set_defaults(negatives="popularity", background=0.2, calibration=0.7, replay=1.0)
    arguments = options.parse_args()
    shares = arguments.shares or [1.0] * len(arguments.domains)
    if len(shares) != len(arguments.domains):
        raise BadInput(f"{len(shares)} shares for {len(arguments.domains)} domains; give one for each")
    overlap = set(arguments.domains) & set(arguments.targets)
    if overlap:
        raise BadInput(f"{', '.join(sorted(overlap))} cannot be both trained on and a target")
    command.train(arguments, role="general", domain="general", names=arguments.domains, shares=shares, targets=arguments.targets)


if __name__ == "__main__":
    command.main(run)
