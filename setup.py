"""The four folders are packages of one namespace: `train/` here is `edge_classify.train` when installed."""

from setuptools import find_packages, setup

FOLDERS = ("train", "convert", "benchmarks", "edge")

setup(
    packages=[
        f"edge_classify.{package}"
        for folder in FOLDERS
        for package in (folder, *(f"{folder}.{inner}" for inner in find_packages(folder)))
    ],
    package_dir={f"edge_classify.{folder}": folder for folder in FOLDERS},
)
