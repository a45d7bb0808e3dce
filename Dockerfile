# syntax=docker/dockerfile:1
# Never built by Docker, which could not run where this was written: hadolint has read it, and the commands that
# install were run in fresh environments on Debian 12, x86-64.
#
#     docker build -t edge-classify .                        the runner; for a Pi add --platform linux/arm64
#     docker run --rm -v "$PWD:/data" edge-classify photo.jpg
#     docker build -t edge-classify-train --target train .   all four commands, with TensorFlow
#     docker run --rm -v "$PWD:/data" edge-classify-train edge-train photos --output run

FROM python:3.11-slim-bookworm AS source
WORKDIR /source
COPY . .
# The versions that were tested. Their checksums are compared for the runner's own packages, not for the extras'.
RUN python -m venv /opt/edge-classify \
    && /opt/edge-classify/bin/python -m pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements/build.txt -r benchmarks/devices/locked/64-bit.txt \
    && sed -n 's/^\([a-z0-9].*==.*[^ ]\) *\\$/\1/p' requirements/everything.txt > /tmp/versions.txt

FROM source AS runner-packages
RUN /opt/edge-classify/bin/python -m pip install --no-cache-dir --no-build-isolation --prefer-binary \
        --constraint /tmp/versions.txt ".[camera,heic,mqtt,report,sign]"

FROM source AS train-packages
RUN /opt/edge-classify/bin/python -m pip install --no-cache-dir --no-build-isolation --prefer-binary \
        --constraint /tmp/versions.txt ".[all]"

# What OpenCV's wheel loads; a user without rights, who may read cameras that the container is given.
FROM python:3.11-slim-bookworm AS base
# Debian keeps one version of a package at a time, and mends it under a new number.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 --groups video edge
ENV PATH=/opt/edge-classify/bin:$PATH
USER 10001
WORKDIR /data

FROM base AS train
COPY --from=train-packages /opt/edge-classify /opt/edge-classify
CMD ["edge-train", "--help"]

FROM base AS runner
COPY --from=runner-packages /opt/edge-classify /opt/edge-classify
ENTRYPOINT ["edge-classify"]
CMD ["--help"]
