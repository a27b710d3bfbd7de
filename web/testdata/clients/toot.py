"""toot against a node: signs in by the browser flow, and asserts what it prints.

Arguments: the node's origin, a person's name, her password, the name of somebody to follow. XDG_CONFIG_HOME is a directory of its own. Prints OK at the end.
"""
import re
import subprocess
import sys

import requests

origin, name, password, other = sys.argv[1:5]
host = origin.split("//")[1]


def toot(*args, stdin=None):
    run = subprocess.run(["toot", *args, "--no-color"], input=stdin, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and "Traceback" not in run.stderr, (args, run.stdout, run.stderr)
    return run.stdout


login = subprocess.Popen(["toot", "login", "--disable-https", "-i", host, "--no-color"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env={**__import__("os").environ, "PYTHONUNBUFFERED": "1"})
url = ""
while not url.startswith(origin + "/oauth/authorize"):
    line = login.stdout.readline()
    assert line, "toot gave up"
    url = line.strip()
browser = requests.Session()
page = browser.get(url)
page = browser.post(page.url, data={"do": "signin", "name": name, "password": password}, headers={"Origin": origin})
assert "ticket" in page.text, (page.status_code, page.url, page.text[-900:])
ticket = re.search(r'name="ticket" value="([^"]+)"', page.text).group(1)
voice = re.search(r'name="as" id="as-(\d+)"', page.text).group(1)
page = browser.post(page.url, data={"do": "allow", "ticket": ticket, "as": voice}, headers={"Origin": origin})
code = re.search(r'id="code">([^<]+)<', page.text).group(1)
out, _ = login.communicate("n\n" + code + "\n", timeout=60)
assert "Successfully logged in" in out, out

assert "@" + name in toot("whoami")
assert "4.2.0" in toot("instance", host, "--disable-https")
posted = toot("post", "Hello from #toot", "-v", "unlisted", "-l", "en")
number = re.search(r"/(\d+)\s*$", posted.strip()).group(1)
assert "Hello from" in toot("timeline", "-1") and "Hello from" in toot("thread", number)
for verb, back in (("favourite", "unfavourite"), ("bookmark", "unbookmark"), ("reblog", "unreblog"), ("pin", "unpin")):
    assert "✓" in toot(verb, number), verb
    if verb == "bookmark":
        assert "Hello from" in toot("bookmarks", "-1")
    if verb == "reblog":
        assert "@" + name in toot("reblogged_by", number)
    assert "✓" in toot(back, number), back
assert "@" + other in toot("search", other) and other in toot("whois", other)
assert "✓" in toot("follow", other) and "@" + other in toot("following", name)
assert "✓" in toot("mute", other) and "✓" in toot("unmute", other) and "✓" in toot("block", other) and "✓" in toot("unblock", other)
toot("notifications")
assert "✓" in toot("delete", number)
toot("logout", name + "@" + host)
print("OK")
