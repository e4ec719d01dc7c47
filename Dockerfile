# Images for the executors of a Spark on Kubernetes, without and with CUDA (docs/cluster.md):
#   docker build --target cpu  --tag REGISTRY/instructmining:0.1.0-cpu .
#   docker build --target cuda --tag REGISTRY/instructmining:0.1.0-cuda .
# Weights are not in them: a run sends its models to the executors.
ARG SPARK=4.2.0

# A Python that runs on any Linux, since that of Spark's own image is too old. Its minor version is
# the one of the driver.
FROM python:3.11-slim-bookworm AS python
ARG PYTHON=3.11
ARG UV=0.13.9
ENV UV_PYTHON_INSTALL_DIR=/opt/python UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir "uv==${UV}" \
    && uv venv --managed-python --python "${PYTHON}" /opt/venv
WORKDIR /build
COPY pyproject.toml README.md LICENSE NOTICE constraints.txt ./
COPY instructmining instructmining
COPY udfs udfs
COPY jobs jobs
COPY conf conf
RUN uv build --wheel --out-dir /build/dist

FROM python AS libraries-cpu
RUN uv pip install --no-cache --python /opt/venv/bin/python --constraints constraints.txt \
    --torch-backend cpu "$(ls dist/*.whl)[models,tracking]" pandas numpy pyarrow

# PyPI's torch brings the CUDA libraries; the driver comes from the node.
FROM python AS libraries-cuda
RUN uv pip install --no-cache --python /opt/venv/bin/python --constraints constraints.txt \
    "$(ls dist/*.whl)[models,tracking]" pandas numpy pyarrow

FROM apache/spark:${SPARK}-scala2.13-java17-ubuntu AS executor
ENV HF_HUB_OFFLINE=1 HOME=/opt/spark/work-dir
COPY conf/spark/gpus.sh /opt/instructmining/gpus.sh

FROM executor AS cpu
COPY --from=libraries-cpu /opt/python /opt/python
COPY --from=libraries-cpu /opt/venv /opt/venv
USER 185

FROM executor AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=libraries-cuda /opt/python /opt/python
COPY --from=libraries-cuda /opt/venv /opt/venv
USER 185
