# One image for both commands: the bridge by default, the jump server as
#   docker run ... netjumper netjumper
FROM python:3.13-slim AS build
RUN python3 -m venv /opt/venv
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check '.[uvloop]'

FROM python:3.13-slim
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 65534:65534
CMD ["netjumper-bridge"]
