// Package interop drives PLANET against a server that nobody here wrote: Fedify (npm @fedify/fedify), on the Node that npm
// brings along with it. It holds tests alone.
//
// A test is three kinds of process on loopback: a node (the real binary, driven by its command line), a peer (peer.mjs, driven by
// a control door of its own) and the test, which stands between them. The test is the authority that both trust, ends TLS for
// every name, and so sees each request of each side; it keeps them all, and can refuse, repeat and spoil them. A front is the
// place where it does so. Names end in .localhost: no file of the machine is changed, and nothing leaves it.
//
// The peer is installed by `npm ci --prefix activitypub/interop`. Without it the tests skip, and with PLANET_TEST_ALL=1 they fail.
package interop
