# Development: what `make test` installs, from the pinned lists. x86-64.
#   docker build -f docker/development.Dockerfile -t spowl_ros_development .
#   docker run --rm -it -v "$PWD":/work spowl_ros_development make test
FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home developer \
    && mkdir /work && chown developer /work
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

USER developer
WORKDIR /work
CMD ["make", "test"]
