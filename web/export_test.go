package web

import "github.com/labstack/echo/v4"

// Routes is every address of the server, for tests.
func (s *Server) Routes() []*echo.Route { return s.echo.Routes() }
