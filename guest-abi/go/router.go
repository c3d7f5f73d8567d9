package alga

import (
	"fmt"
	"strings"
)

type route struct {
	method, path string
	handle       Handler
}

// A Router calls the handler of a method and path; answers 404 and 405 as JSON itself.
//
//	alga.Handle(new(alga.Router).On("POST", "/setup", setup).On("GET", "/schedules", schedules).Handle)
type Router struct {
	routes []route
}

// On lets handle answer method, in capitals, on exactly path.
func (router *Router) On(method, path string, handle Handler) *Router {
	router.routes = append(router.routes, route{method, path, handle})
	return router
}

// Handle answers request.
func (router *Router) Handle(request *Request, host *Host) (Response, error) {
	path := request.HTTP.Path()
	var methods []string
	for _, route := range router.routes {
		if route.path == path {
			if strings.EqualFold(route.method, request.HTTP.Method) {
				return route.handle(request, host)
			}
			methods = append(methods, route.method)
		}
	}
	if methods == nil {
		return Response{}, &Problem{404, "not-found", fmt.Sprintf("Nothing answers at %s.", path)}
	}
	allowed := strings.Join(methods, ", ")
	problem := &Problem{405, "method-not-allowed", fmt.Sprintf("%s answers %s only.", path, allowed)}
	return JSON(405, map[string]any{"error": problem}).WithHeader("allow", allowed), nil
}
