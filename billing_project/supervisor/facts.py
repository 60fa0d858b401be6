"""What a person or a script needs to know about a run: printed, and written to ``run.json``."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from billing_project.embedded import processes


@dataclass(frozen=True, slots=True)
class Facts:
    """``organization`` is the demo tenant; ``api_key`` is its own key and ``platform_key`` that of the platform."""

    url: str
    organization: str
    api_key: str
    platform_key: str
    login: str
    password: str
    database_url: str
    redis_url: str

    def write(self, path: Path) -> None:
        processes.write_private(path, json.dumps(asdict(self), indent=2) + "\n")

    def as_text(self, path: Path) -> str:
        base = f"{self.url}/api/billing/organizations/{self.organization}"
        key = f"-H 'Authorization: Bearer {self.api_key}'"
        body = """-H 'Content-Type: application/json' -d '{"event": "case_created", "quantity": "1"}'"""
        return f"""
Countinghouse answers at {self.url}

  API         {self.url}/api/docs
  login       {self.login}
  password    {self.password}
  API key     {self.api_key}  (of the demo organization {self.organization})

Try it:

  curl -s {self.url}/api/billing/plans
  curl -s {key} {base}/subscription
  curl -s {key} {body} {base}/quotas/check

The same facts are in {path}. Ctrl-C stops everything.
"""
