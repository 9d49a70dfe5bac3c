# One image for both commands, the bridge by default:
#   docker run IMAGE --jump home.example.net:9527 ...
#   docker run IMAGE netjumper --secret-file /run/secrets/netjumper
# It holds no secret and no settings; give it --read-only, --cap-drop=ALL and
# --security-opt=no-new-privileges. See docs/containers.md.
#
# Packages are installed by the hashes of requirements/. The base is a tag, so that building again
# brings the base's security fixes; BASE=docker.io/library/python@sha256:... pins it.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY requirements/build.txt requirements/run.txt ./requirements/
# The image's environment has no pip, because nothing is installed later. Its bytecode is compiled
# now, because a container's root can be read-only.
RUN python3 -m venv /opt/build \
 && python3 -m venv --without-pip /opt/venv \
 && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes \
      -r requirements/build.txt \
 && /opt/build/bin/pip --python /opt/venv/bin/python install \
      --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/build/bin/pip wheel --no-cache-dir --disable-pip-version-check \
      --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/venv/bin/python install \
      --no-cache-dir --disable-pip-version-check --no-deps --no-index /wheels/netjumper-*.whl

FROM ${BASE}
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="netjumper" \
      org.opencontainers.image.description="A tunnel for bad long-distance paths: jump server, SOCKS and HTTP bridge" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY deploy/entrypoint.sh /usr/local/bin/netjumper-entrypoint
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that Kubernetes can verify that it is not root.
USER 65532:65532
EXPOSE 1080 8118 9527
STOPSIGNAL SIGTERM
# Finds out which of the two commands runs, and its addresses.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5s --retries=3 \
  CMD ["netjumper-bridge", "healthcheck", "--running"]
ENTRYPOINT ["netjumper-entrypoint"]
