# The robot: nodes, inference and bags, from the pinned lists. x86-64.
#   docker build -f docker/robot.Dockerfile -t spowl_ros .
#   docker run --rm --network host spowl_ros robot robot:=config/robot/diff_drive.yaml
FROM python:3.12-slim-bookworm

RUN useradd --create-home --uid 1000 robot
WORKDIR /home/robot/spowl_ros
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

COPY requirements requirements
ARG ROS=jazzy
RUN pip install -r requirements/$ROS.txt -r requirements/runtime.txt \
    -c requirements/constraints.txt

COPY . .
RUN pip install --no-deps .

USER 1000
ENTRYPOINT ["spowl"]
CMD ["--help"]
