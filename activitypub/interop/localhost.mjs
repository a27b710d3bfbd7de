import dns from "node:dns";

// Names under .localhost are this machine (RFC 6761); neither Node nor the C library knows them without a hosts file.
const systemLookup = dns.lookup;
dns.lookup = (name, options, callback) => {
  if (!/(^|\.)localhost$/.test(name)) return systemLookup(name, options, callback);
  const done = callback ?? options;
  const all = typeof options === "object" && options?.all;
  process.nextTick(() => all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4));
};
