# One image for web, worker, beat and commands. Not built where this was written: docs/operations.md says what was run.
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home countinghouse
WORKDIR /opt/countinghouse
COPY . .
# What `make run` installs, by the same hashes; then the static files, for which any secret will do.
RUN make venv \
    && DJANGO_SETTINGS_MODULE=billing_project.settings.production ALLOWED_HOSTS=localhost \
       SECRET_KEY=$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
       .venv/bin/python manage.py collectstatic --noinput --verbosity 0
ENV PATH=/opt/countinghouse/.venv/bin:$PATH \
    DJANGO_SETTINGS_MODULE=billing_project.settings.production \
    PYTHONDONTWRITEBYTECODE=1
USER countinghouse
CMD ["python", "-m", "billing_project.program", "web"]
