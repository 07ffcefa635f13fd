"""What a person's browser sees and does, without JavaScript, in a real hub."""

import html
import re
from typing import Any

import httpx
import pytest

from tests.real.deployment import Deployment, wait_until
from tests.real.hub.conftest import Gates


def shown(page: httpx.Response) -> str:
    """The page's text as people read it."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))


def test_the_start_page_begins_a_server_with_a_name(deployment: Deployment) -> None:
    with deployment.browser("ada") as browser:
        page = browser.get("/hub/spawn")
        assert "site/local" in page.text
        waiting = browser.start("analysis", "site/local", flavor="")
        assert waiting.status_code == 200
        assert "/ada/analysis" in str(waiting.url)
        deployment.wait_for_server("ada", "analysis")
        home = browser.get("/hub/home")
        assert "analysis" in home.text
        assert "Running" in home.text


def test_the_default_server_starts_from_the_page_and_a_second_one_beside_it(deployment: Deployment) -> None:
    with deployment.browser("bea") as browser:
        browser.start("", "site/local")
        deployment.wait_for_server("bea")
        page = browser.get("/hub/roadstead/start")
        assert page.url.path == "/hub/roadstead/start"
        refused = browser.start("", "site/local")
        assert refused.status_code == 400
        assert "already there" in refused.text
        browser.start("more", "site/local")
        deployment.wait_for_server("bea", "more")


@pytest.mark.parametrize("name", ["My Server!", "../up", "a/b", "x" * 70, "-a", "ü"])
def test_a_bad_name_comes_back_with_a_sentence_and_the_choices(deployment: Deployment, name: str) -> None:
    with deployment.browser("cleo") as browser:
        page = browser.start(name, "site/gated")
        assert page.status_code == 400
        assert "cannot be a name" in shown(page)
        assert f'value="{html.escape(name)}"' in page.text
        assert re.search(r'value="site/gated"[^>]* checked', page.text)
    assert deployment.server("cleo") is None


def test_a_setting_that_the_site_allows_is_read_and_a_wrong_one_told(deployment: Deployment) -> None:
    with deployment.browser("dora") as browser:
        field = "override--site/local--notebook_dir"
        page = browser.post("/hub/roadstead/start", name="", system="site/local", **{field: "../etc"})
        wait_until("refused", lambda: deployment.server("dora") is None)
        page = browser.get("/hub/spawn-pending/dora") if "notebook_dir" not in page.text else page
        assert "Folder" in shown(page) or "notebook_dir" in shown(page)
        browser.post("/hub/roadstead/start", name="", system="site/local", **{field: "/tmp"})
        deployment.wait_for_server("dora")


def test_a_link_fills_the_page_in_and_starts_nothing(deployment: Deployment) -> None:
    with deployment.browser("emil") as browser:
        for prefix in ("", "opt-"):
            page = browser.get("/hub/spawn/emil", **{f"{prefix}system": "site/gated"})
            assert page.status_code == 200
            assert "press Start" in shown(page)
            assert re.search(r'value="site/gated"[^>]* checked', page.text)
    assert deployment.server("emil") is None
    assert deployment.stored_state("emil") == {}


def test_where_somebody_wanted_to_go_is_kept_over_the_start(deployment: Deployment) -> None:
    with deployment.browser("fay") as browser:
        page = browser.get("/hub/spawn/fay", next="/user/fay/lab/tree/a.ipynb")
        assert "lab/tree/a.ipynb" in page.text
        pending = browser.post("/hub/roadstead/start", name="", system="site/local", next="/user/fay/lab/tree/a.ipynb")
        deployment.wait_for_server("fay")
        assert "a.ipynb" in str(browser.get(str(pending.url)).url)


def test_the_stop_button_stops_the_named_server_and_no_other(deployment: Deployment, gates: Gates) -> None:
    deployment.start_server("gina", system="site/local")
    deployment.begin_server("gina", "queued", system="site/gated")
    with deployment.browser("gina") as browser:
        page = browser.get("/hub/spawn-pending/gina/queued")
        [action] = re.findall(r'action="(/hub/roadstead/stop/[^"]+)"', page.text)
        home = browser.post(action)
        assert home.url.path == "/hub/home"
        deployment.wait_until_stopped("gina", "queued")
        assert deployment.reach("gina")


def test_a_stopped_server_is_taken_off_the_list(deployment: Deployment) -> None:
    deployment.start_server("hugo", "old", system="site/local")
    with deployment.browser("hugo") as browser:
        browser.post("/hub/roadstead/stop/hugo/old")
        deployment.wait_until_stopped("hugo", "old")
        assert "old" in shown(browser.get("/hub/home"))
        wait_until("removed", lambda: "server-old" not in browser.post("/hub/roadstead/remove/hugo/old").text)


def test_a_stopped_server_is_described_as_it_was_chosen(deployment: Deployment) -> None:
    deployment.start_server("ines", "thesis", system="site/local", flavor="short")
    with deployment.browser("ines") as browser:
        browser.post("/hub/roadstead/stop/ines/thesis")
        deployment.wait_until_stopped("ines", "thesis")
        assert "Shared machine A short while" in shown(browser.get("/hub/home"))
        deployment.restart_hub()
        browser.get("/hub/roadstead/start")
        assert "Shared machine A short while" in shown(browser.get("/hub/home"))


def test_requests_from_elsewhere_are_refused(deployment: Deployment) -> None:
    deployment.start_server("ivo", system="site/local")
    with deployment.browser("ivo") as browser:
        for path in ("/hub/roadstead/stop/ivo", "/hub/roadstead/remove/ivo", "/hub/roadstead/start"):
            assert browser.http.post(path, data={"system": "site/local"}).status_code == 403
        cors = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        assert browser.http.get("/hub/api/roadstead/events/ivo", headers=cors).status_code == 403
    with deployment.browser("mallory") as other:
        assert other.post("/hub/roadstead/stop/ivo").status_code in (403, 404)
        assert other.get("/hub/roadstead/wait/ivo").status_code in (403, 404)
        # Nobody learns from the answer which servers somebody else has.
        for name in ("", "x", "not a name"):
            answer = other.post("/hub/roadstead/start", user="ivo", name=name, system="site/local")
            assert answer.status_code in (403, 404)
            assert not answer.history
        events = f"/hub/api/roadstead/events/ivo?_xsrf={other.xsrf}"
        assert other.http.get(events, headers=cors).status_code in (403, 404)
    assert deployment.reach("ivo")


def test_hostile_stored_options_break_no_page_and_start_nothing(deployment: Deployment) -> None:
    hostile: list[dict[str, Any]] = [
        {"system": "site/local/../../x"},
        {"system": {"$ne": 1}},
        {"overrides": {"cmd": "x"}},
        {"a" * 500: "b" * 5000},
        {"system": "site/local", "app": "<script>alert(1)</script>"},
    ]
    for number, options in enumerate(hostile):
        user = f"hostile{number}"
        deployment.begin_server(user, **options)
        wait_until("refused", lambda user=user: deployment.server(user) is None)  # type: ignore[misc]
        with deployment.browser(user) as browser:
            for path in ("/hub/home", "/hub/spawn", f"/hub/spawn-pending/{user}"):
                page = browser.get(path)
                assert page.status_code < 500 or "spawn-pending" in path, page.text
                assert "<script>alert" not in page.text
        again = deployment.begin_server(user)
        assert again.status_code >= 400, again.text


def test_an_administrator_starts_a_server_for_somebody(deployment: Deployment) -> None:
    deployment.add_user("jana")
    with deployment.browser("admin") as browser:
        page = browser.get("/hub/spawn/jana")
        assert 'name="user" value="jana"' in page.text
        browser.post("/hub/roadstead/start", user="jana", name="", system="site/local")
    deployment.wait_for_server("jana")


def test_static_files_are_served_and_nothing_beside_them(deployment: Deployment) -> None:
    with deployment.browser("kim") as browser:
        assert browser.http.get("/hub/roadstead/static/roadstead.css").headers["content-type"].startswith("text/css")
        for path in ("../templates/home.html", "..%2ftemplates%2fhome.html", "%2e%2e/spawner.py"):
            assert browser.http.get(f"/hub/roadstead/static/{path}").status_code in (403, 404)
