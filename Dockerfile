# The studio in one image: docker build -t allaprima .  (docs/guides/containers.md)
#
# torch is taken by its exact version. Where pip offers a build for processors alone, as the address does that PyTorch's
# installation page names for the CPU, the image is small; the plain one brings CUDA along, for NVIDIA's cards:
#
#   docker build --build-arg TORCH_INDEX=ADDRESS -t allaprima .

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/allaprima
WORKDIR /source
COPY constraints.txt ./
RUN /opt/allaprima/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint constraints.txt "$(sed -n 's/^torch==/&/p' constraints.txt)"
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/allaprima/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint constraints.txt ".[studio]"
RUN cd /opt/allaprima/lib/python3*/site-packages && rm -rf torch/include torch/share torch/test pip pip-* && find torch/bin -type f ! -name torch_shm_manager -delete && find sympy networkx -type d -name tests -prune -exec rm -rf {} +

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 1000 --create-home --home-dir /app painter && mkdir -p /app/models/lora /app/models/wildcards /app/gallery /app/.cache && chown -R painter:painter /app
COPY --from=build /opt/allaprima /opt/allaprima
ENV PATH=/opt/allaprima/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/app HF_HUB_OFFLINE=1 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
USER painter
VOLUME /app/models /app/gallery
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s CMD ["python3", "-c", "import urllib.request as request; request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["prima"]
CMD ["serve", "--listen", "--port", "8080", "--models-dir", "/app/models", "--gallery", "/app/gallery"]
