# The CPU image: one binary, the XLA CPU plugin, the demo model; runs as a non-root user on a read-only root.
#
#   make image
#   docker run --rm --read-only --tmpfs /tmp --network host astro
#
# The image for NVIDIA's GPUs (target cuda) has XLA's CUDA plugin and NVIDIA's libraries besides, from pinned wheels, and no toolkit; the
# host has the driver, 580 or later, and NVIDIA's container toolkit:
#
#   make image-cuda
#   docker run --rm --read-only --tmpfs /tmp --network host --gpus all astro:cuda
#
# Host networking, because without keys astro listens on loopback only. Base images are named by tag: whoever builds decides
# which digest those mean, with the registry at hand.

FROM rust:1-slim-trixie AS rust

FROM golang:1.26-trixie AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV PATH=/usr/local/cargo/bin:$PATH CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup
WORKDIR /src
# The native parts first: they change rarely and take minutes.
COPY go.mod go.sum ./
COPY scripts scripts
RUN scripts/libtokenizers.sh && scripts/xla-cpu.sh
COPY . .
ARG RELEASE=
RUN make build RELEASE="$RELEASE" && scripts/rootfs.sh lay /rootfs

FROM build AS build-cuda
RUN scripts/xla-cuda.sh && scripts/rootfs.sh lay-cuda /cuda

FROM debian:trixie-slim AS base
COPY --from=build /rootfs /
# Compiled XLA programs go to XDG_CACHE_HOME. To keep them across restarts, mount a volume at /var/cache/astro and say so there.
RUN install -d -m 0700 -o 65532 -g 65532 /var/cache/astro
ENV XDG_CACHE_HOME=/tmp
WORKDIR /usr/local/share/astro
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# /ready, not /health: it says that the engine moves. Another port or TLS needs another --health-cmd.
HEALTHCHECK --interval=10s --timeout=6s --start-period=2m --retries=3 CMD ["/usr/local/bin/astro", "probe"]
ENTRYPOINT ["/usr/local/bin/astro"]
CMD ["serve"]

FROM base AS cuda
COPY --from=build-cuda /cuda /
# What NVIDIA's container toolkit gives the container: the driver's library for computing, and nvidia-smi.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility

# The last one is what a build without --target makes.
FROM base AS cpu
