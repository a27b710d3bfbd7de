import { crc32, deflateSync } from "node:zlib";

// The browser of somebody who lets an app in: it signs in and says yes, and has no scripts.
export async function consent(url, name, password, as = 0) {
  const origin = new URL(url).origin;
  const form = (fields) => ({
    method: "POST",
    redirect: "manual",
    headers: { Origin: origin, "Content-Type": "application/x-www-form-urlencoded", Cookie: cookie },
    body: new URLSearchParams(fields),
  });
  let cookie = "";
  let answer = await fetch(url, form({ do: "signin", name, password }));
  cookie = answer.headers.get("set-cookie").split(";")[0];
  const page = await (await fetch(new URL(answer.headers.get("location"), url), { headers: { Cookie: cookie } })).text();
  const ticket = /name="ticket" value="([^"]+)"/.exec(page)[1];
  const voices = [...page.matchAll(/name="as" id="as-(\d+)"/g)].map((m) => m[1]);
  answer = await fetch(new URL(answer.headers.get("location"), url), form({ do: "allow", ticket, as: voices[as] }));
  const to = answer.headers.get("location");
  return to ? new URL(to).searchParams.get("code") : /id="code">([^<]+)</.exec(await answer.text())[1];
}

// png is a picture of w by h points.
export function png(w, h) {
  const chunk = (type, data) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length);
    out.write(type, 4);
    data.copy(out, 8);
    out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(w);
  head.writeUInt32BE(h, 4);
  head.set([8, 2], 8);
  const rows = Buffer.alloc((w * 3 + 1) * h).map((_, i) => (i % (w * 3 + 1) ? (i * 7) % 256 : 0));
  return Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", head), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))]);
}
