package web

import (
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"

	"planet/activitypub"
)

// Pictures come from people and from other servers: a browser may show them and do nothing else with them. They are never
// negotiated, so that nothing that was uploaded passes for a document of this node (security.md IDN 58).
const mediaPolicy = "default-src 'none'; sandbox"

// media is a picture of this node. Its name never stands for anything else, so it may be kept for ever; it is gone from here with the
// post that shows it.
func (s *Server) media(c echo.Context) error {
	f, m, err := s.Node.OpenMedia(c.Request().Context(), c.Param("name"))
	if err != nil {
		return err
	}
	defer f.Close()
	c.Response().Header().Set("Content-Disposition", `inline; filename="`+m.Name+`"`)
	return s.picture(c, f, m.MediaType, m.Name, "public, max-age=31536000, immutable")
}

// remoteMedia is a picture of another server, at an address that this node has made.
func (s *Server) remoteMedia(c echo.Context) error {
	if c.Request().URL.RawQuery != "" { // nobody asks so but to try (FET 97)
		return &activitypub.Problem{Status: http.StatusBadRequest, Code: "media", Detail: "This is no address that the node gave out."}
	}
	mac := c.Param("mac")
	f, kind, err := s.Node.RemoteMedia(c.Request().Context(), mac, c.Param("address"))
	if err != nil {
		return err
	}
	defer f.Close()
	c.Response().Header().Set("Content-Disposition", "inline")
	return s.picture(c, f, kind, "", "public, max-age=86400")
}

func (s *Server) picture(c echo.Context, f *os.File, kind, tag, keep string) error {
	h := c.Response().Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", mediaPolicy)
	h.Set("Cache-Control", keep)
	if tag != "" {
		h.Set("Etag", `"`+tag+`"`)
	}
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, f)
	return nil
}
