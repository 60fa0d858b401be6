"""``make frontdoor``: slow, huge, broken and nonsensical requests against the real server, next to healthy ones.

python -m tests.frontdoor [--seconds 15]
"""

from __future__ import annotations

import argparse
import sys

from tests.support import databases, proofs

P99_MAX_SECONDS = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="frontdoor", description="Hostile clients next to healthy ones.")
    parser.add_argument("--seconds", type=float, default=15, help="of each attack")
    arguments = parser.parse_args()
    with proofs.on_own_servers() as (servers, name):
        from tests.frontdoor import stage
        from tests.support.http import HttpServer

        with (
            databases.pointed_at(name),
            HttpServer.running(
                database_url=databases.url_of(servers.database_url, name), redis_url=servers.redis_url
            ) as server,
        ):
            outcomes = stage.run(server, seconds=arguments.seconds, together=False)
            faults = stage.faults_of(outcomes)
    sys.stdout.write("".join(f"{outcome}\n" for outcome in outcomes))
    worst = max(outcomes[1:], key=lambda each: each.health.p99)
    if worst.health.p99 > P99_MAX_SECONDS:
        faults.append(f"{worst.name}: p99 of healthy calls {worst.health.p99:.2f} s is more than {P99_MAX_SECONDS:g} s")
    calls = sum(len(each.health.seconds) for each in outcomes)
    sys.stdout.write("".join(f"WRONG  {fault}\n" for fault in faults))
    sys.stdout.write(
        f"frontdoor: {len(outcomes) - 1} attacks, {calls} healthy calls, worst p99 {worst.health.p99 * 1000:.0f} ms "
        f"({worst.name}; with nobody {outcomes[0].health.p99 * 1000:.0f} ms), {len(faults)} wrong\n"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
