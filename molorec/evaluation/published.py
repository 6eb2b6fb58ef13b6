"""What the paper reports, as data: to be shown beside our numbers, never on one scale with them."""

from dataclasses import dataclass

from molorec.catalog import known
from molorec.catalog.movielens import NAME as MOVIELENS

PAPER = "arXiv:2502.08271"
# In the order of the tables' columns.
DOMAINS = {name: known.DOMAINS[name].label for name in ("amazon14_beauty", "amazon14_toys", "amazon14_sports", MOVIELENS)}
METRICS = ("ndcg@1", "ndcg@3")
NOT_COMPARABLE = (
    "The paper's numbers cannot be set beside those measured here. They come from a base model of seven billion parameters "
    "(Qwen2-7B), from other splits of the data and from other lists of 1 + 29 titles. They say what the paper found, and "
    "nothing about how good the model here is.")


@dataclass(frozen=True)
class Table:
    """One table of the paper.

    Attributes
    ----------
    number : as the paper's text counts it.
    scores : system → its numbers, domain by domain in the order of :data:`DOMAINS`, NDCG@1 before NDCG@3.
    """

    number: int
    setting: str
    title: str
    scores: dict[str, tuple[float, ...]]

    @property
    def source(self) -> str:
        """Where the numbers stand, in words."""
        return f"Table {self.number} of {PAPER}: {self.title}"

    def of(self, domain: str, metric: str) -> dict[str, float]:
        """System → score in [0, 1] in one column; empty if the paper has no such column."""
        if domain not in DOMAINS or metric not in METRICS:
            return {}
        column = len(METRICS) * list(DOMAINS).index(domain) + METRICS.index(metric)
        return {system: values[column] for system, values in self.scores.items()}


TABLES = {table.setting: table for table in (
    Table(1, "warm", "the warm-start setting", {
        "BPR-MF": (.1630, .2588, .1276, .2056, .1496, .2338, .1724, .4185),
        "GRU4Rec": (.1672, .2752, .1320, .2243, .1787, .2829, .1724, .4423),
        "SASRec": (.2410, .3284, .2223, .3105, .1957, .2967, .2257, .4708),
        "FMLP-Rec": (.2988, .4000, .2994, .3990, .2645, .3812, .2410, .5515),
        "UniSRec": (.2654, .4089, .2612, .3998, .2341, .3721, .2615, .5594),
        "VQ-Rec": (.2714, .4157, .2715, .4119, .2476, .3944, .2805, .5745),
        "Qwen2-7B": (.0300, .0394, .0843, .1062, .0170, .0242, .0814, .1057),
        "RecFormer": (.2858, .3840, .3001, .3880, .2667, .3885, .2743, .5701),
        "P5": (.1775, .2482, .1171, .1709, .1860, .2674, .2046, .2947),
        "TALLRec": (.3208, .3479, .3308, .3583, .3002, .3274, .4759, .4971),
        "MoLoRec-G": (.3081, .3316, .2957, .3209, .2750, .2998, .5680, .5918),
        "MoLoRec-S": (.4079, .4291, .4076, .4314, .3735, .3925, .5460, .5703),
        "MoLoRec": (.4132, .4350, .4097, .4334, .3754, .3944, .5783, .6023),
    }),
    Table(2, "new-item", "the new-item setting", {
        "BPR-MF": (.0306, .0688, .0333, .0765, .0350, .0739, .0723, .1421),
        "GRU4Rec": (.0562, .1063, .0447, .0926, .0640, .0996, .0798, .1489),
        "SASRec": (.0656, .1368, .0670, .1210, .0547, .1203, .0912, .1891),
        "FMLP-Rec": (.0587, .1229, .0537, .1117, .0545, .1236, .1145, .1947),
        "UniSRec": (.0957, .1457, .0814, .1559, .0832, .1408, .0985, .1343),
        "VQ-Rec": (.1189, .1589, .0957, .1603, .0985, .1463, .1025, .1412),
        "Qwen2-7B": (.0187, .0260, .0293, .0356, .0213, .0273, .0318, .0407),
        "RecFormer": (.1051, .1687, .0913, .1592, .0922, .1489, .1108, .1547),
        "P5": (.0871, .1466, .0755, .1358, .0758, .1355, .0957, .1319),
        "TALLRec": (.1415, .1674, .1251, .1524, .1226, .1486, .1458, .1668),
        "MoLoRec-G": (.1746, .2072, .1474, .1710, .1581, .1868, .1455, .1890),
        "MoLoRec-S": (.1603, .1863, .1504, .1764, .1564, .1867, .1636, .2597),
        "MoLoRec": (.1825, .2145, .1614, .1821, .1646, .1921, .1818, .2755),
    }),
)}
