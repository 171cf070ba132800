# The service in a container, on CPU.
#   docker build -t gatekeeper .
#   docker run --rm -p 8080:8080 -v "$PWD/runs/demo/bundle:/bundle:ro" gatekeeper serve /bundle --host 0.0.0.0
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY gatekeeper ./gatekeeper
COPY models ./models
COPY calibration ./calibration
RUN python -m venv /opt/gatekeeper \
    && /opt/gatekeeper/bin/pip install --no-cache-dir \
        --extra-index-url https://download.pytorch.org/whl/cpu .

FROM python:3.11-slim
RUN useradd --create-home --home-dir /var/lib/gatekeeper --uid 10001 gatekeeper
COPY --from=build /opt/gatekeeper /opt/gatekeeper
ENV PATH=/opt/gatekeeper/bin:$PATH \
    GATEKEEPER_HOME=/var/lib/gatekeeper \
    PYTHONDONTWRITEBYTECODE=1
USER gatekeeper
WORKDIR /var/lib/gatekeeper
EXPOSE 8080
ENTRYPOINT ["gatekeeper"]
CMD ["--help"]
