package activitypub

import (
	"net/http"

	"planet/storage"
)

const nodeinfoSchema = "http://nodeinfo.diaspora.software/ns/schema/"

// nodeinfoLinks says where NodeInfo is (FEP-f1d5), and which actor is the node itself (FEP-2677).
func (n *Node) nodeinfoLinks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	n.writeJSON(w, "application/json", map[string]any{"links": []any{
		map[string]any{"rel": nodeinfoSchema + "2.0", "href": n.Origin + "/nodeinfo/2.0"},
		map[string]any{"rel": nodeinfoSchema + "2.1", "href": n.Origin + "/nodeinfo/2.1"},
		map[string]any{"rel": activityStreams + "#Application", "href": n.service.IRI},
	}})
}

// nodeinfo answers versions 2.0 and 2.1.
func (n *Node) nodeinfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	version := r.PathValue("version")
	if version != "2.0" && version != "2.1" {
		n.fail(w, r, storage.ErrNotFound)
		return
	}
	users, err := n.DB.CountUsers(r.Context())
	if err != nil {
		n.fail(w, r, err)
		return
	}
	posts, err := n.DB.CountLocalPosts(r.Context())
	if err != nil {
		n.fail(w, r, err)
		return
	}
	software := map[string]any{"name": "planet", "version": n.Version}
	n.writeJSON(w, `application/json; profile="`+nodeinfoSchema+version+`#"`, map[string]any{
		"version": version, "software": software, "protocols": []string{"activitypub"},
		"services":          map[string]any{"inbound": []string{}, "outbound": []string{}},
		"openRegistrations": n.SignupOpen, "usage": map[string]any{"users": map[string]any{"total": users}, "localPosts": posts},
		"metadata": map[string]any{"nodeName": n.Name, "nodeDescription": n.Description},
	})
}
