# Development: what `make test` installs, from the pinned lists. x86-64.
#   docker build -f docker/development.Dockerfile -t spowl_ros_development .
#   docker run --rm -it -v "$PWD":/work spowl_ros_development make test
FROM python:3.12-slim-bookworm

# Debian's archive keeps only the newest version of a package, so that no version can be pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 developer \
    && mkdir /work && chown 1000 /work
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

USER 1000
WORKDIR /work
CMD ["make", "test"]
