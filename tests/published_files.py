"""Data sets in the forms in which they are published, made up on the fly."""

import gzip
import json
import zipfile
from pathlib import Path

from molorec.catalog import SourceData

FLAGS = 19


def movielens_100k(folder: Path, source: SourceData) -> Path:
    write(folder / "u.item", "".join(f"{film}|{title}|01-Jan-1995||http://x|" + "|".join("01" * FLAGS)[: 2 * FLAGS - 1] + "\n"
                                     for film, title in source.titles.items()), "latin-1")
    write(folder / "u.data", "".join(f"{user}\t{film}\t3\t{time:.0f}\n" for user, film, time in source.events))
    return folder


def movielens_dat(folder: Path, source: SourceData, encoding: str = "utf-8") -> Path:
    write(folder / "movies.dat", "".join(f"{film}::{title}::Comedy|Drama\n" for film, title in source.titles.items()), encoding)
    write(folder / "ratings.dat", "".join(f"{user}::{film}::3::{time:.0f}\n" for user, film, time in source.events))
    return folder


def movielens_csv(folder: Path, source: SourceData) -> Path:
    write(folder / "movies.csv", "movieId,title,genres\n" + "".join(
        f'{film},"{title}",Comedy|Drama\n' for film, title in source.titles.items()))
    write(folder / "ratings.csv", "userId,movieId,rating,timestamp\n" + "".join(
        f"{user},{film},3.5,{time:.0f}\n" for user, film, time in source.events))
    return folder


def amazon_2014(folder: Path, source: SourceData, category: str = "Beauty") -> Path:
    return _amazon(folder, source, f"reviews_{category}_5.json.gz", f"meta_{category}.json.gz", repr, "categories",
                   [["Beauty", "Hair & Care"], ["Beauty", "Bath"]])


def amazon_2018(folder: Path, source: SourceData, category: str = "All_Beauty") -> Path:
    return _amazon(folder, source, f"{category}_5.json", f"meta_{category}.json", json.dumps, "category",
                   ["Beauty", "Hair &amp; Care", "</span>", "Bath"])


def _amazon(folder, source, reviews, metadata, written, key, categories) -> Path:
    write(folder / reviews, "".join(json.dumps({
        "reviewerID": user, "asin": item, "overall": 5.0, "reviewText": "good", "unixReviewTime": int(time)}) + "\n"
        for user, item, time in source.events))
    write(folder / metadata, "".join(
        written({"asin": item, "title": title, key: categories, "price": 3.17}) + "\n" for item, title in source.titles.items()))
    return folder


FORMS = {"100k": movielens_100k, "dat": movielens_dat, "csv": movielens_csv, "2014": amazon_2014, "2018": amazon_2018}


def write(file: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    """Write a file, gzipped if its name says so; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    raw = content if isinstance(content, bytes) else content.encode(encoding)
    file.write_bytes(gzip.compress(raw, mtime=0) if file.suffix == ".gz" else raw)
    return file


def zipped(folder: Path, archive: Path) -> Path:
    """The folder in a zip archive, as GroupLens packs it."""
    with zipfile.ZipFile(archive, "w") as made:
        for file in sorted(folder.iterdir()):
            made.write(file, f"{folder.name}/{file.name}")
    return archive
