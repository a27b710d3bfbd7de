package economy

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
)

// describe makes the OpenAPI 3.1 document of the API out of the table of routes and the shapes that its handlers take and give.
func (a *API) describe() ([]byte, error) {
	s := schemas{}
	paths := map[string]map[string]any{}
	for _, r := range routes {
		path := pathParam.ReplaceAllString(base+r.path, "{$1}")
		op := map[string]any{"operationId": r.name, "summary": r.words, "responses": s.responses(r)}
		var params []any
		for _, m := range pathParam.FindAllStringSubmatch(r.path, -1) {
			p := map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]any{"type": "string"}}
			if m[1] == "act" {
				p["schema"] = map[string]any{"type": "string", "enum": orderActs}
			}
			params = append(params, p)
		}
		for _, q := range r.query {
			params = append(params, map[string]any{"name": q.name, "in": "query", "description": q.words, "schema": map[string]any{"type": "string"}})
		}
		if r.keyed {
			params = append(params, map[string]any{"name": "Idempotency-Key", "in": "header", "required": true, "schema": map[string]any{"type": "string", "maxLength": maxKey},
				"description": "A word of your own, such as a UUID. The same request under the same key is done once, however often it is sent; another one is refused, for ever."})
		}
		if params != nil {
			op["parameters"] = params
		}
		if r.in != nil {
			op["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": s.of(reflect.TypeOf(r.in))}}}
		}
		if op["security"] = []any{map[string]any{"oauth": []string{r.scope}}}; r.scope == open {
			op["security"] = []any{map[string]any{}, map[string]any{"oauth": []string{}}}
		}
		if paths[path] == nil {
			paths[path] = map[string]any{}
		}
		paths[path][strings.ToLower(r.method)] = op
	}
	s.of(reflect.TypeFor[Problem]())
	doc := map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "PLANET", "version": a.Version, "license": map[string]any{"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
			"description": "Co-ops, offers, orders, currencies, accounts and payments of this node. Everything else is the client API of Mastodon (docs.joinmastodon.org). Amounts are decimal strings beside their currency, ids are strings, times are RFC 3339 in UTC. Lists go on where their Link header says."},
		"servers": []any{map[string]any{"url": a.Origin}},
		"paths":   paths,
		"components": map[string]any{"schemas": s, "securitySchemes": map[string]any{"oauth": map[string]any{"type": "oauth2", "flows": map[string]any{"authorizationCode": map[string]any{
			"authorizationUrl": a.Origin + "/oauth/authorize", "tokenUrl": a.Origin + "/oauth/token",
			"scopes": map[string]any{money: "See and move money, and order.", readCoop: "See the members of co-ops.", joinCoop: "Join co-ops, and answer who wants to.", publish: "Offer things."}}}}}},
	}
	return json.MarshalIndent(doc, "", " ")
}

var pathParam = regexp.MustCompile(`:([a-z]+)`)

// Problem is an answer that says why something was not done.
type Problem struct {
	Error   string `json:"error" doc:"For people."`
	Code    string `json:"code" doc:"For programs: of payments those of docs/payments.md, such as credit_limit."`
	Field   string `json:"field,omitempty" doc:"Which field is wrong."`
	Payment string `json:"payment_id,omitempty" doc:"The payment that was refused, where it is kept."`
}

// schemas are the shapes by name.
type schemas map[string]any

func ref(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }

func (s schemas) responses(r route) map[string]any {
	answer := map[string]any{"description": "Done."}
	switch {
	case r.out != nil && r.name == "getStatement":
		answer["content"] = map[string]any{"application/json": map[string]any{"schema": s.of(reflect.TypeOf(r.out))}, "text/csv": map[string]any{}, "text/plain": map[string]any{}}
	case r.out != nil:
		answer["content"] = map[string]any{"application/json": map[string]any{"schema": s.of(reflect.TypeOf(r.out))}}
	case r.name == "getReceipt":
		answer["content"] = map[string]any{"text/plain": map[string]any{"schema": map[string]any{"type": "string"}}}
	default:
		answer["content"] = map[string]any{"image/png": map[string]any{}}
	}
	refused := func(words string) map[string]any {
		return map[string]any{"description": words, "content": map[string]any{"application/json": map[string]any{"schema": ref("Problem")}}}
	}
	out := map[string]any{status(r.status): answer, "4XX": refused("It was not done: the code says why."), "5XX": refused("It was not done, or nobody knows: ask again under the same key.")}
	if r.keyed {
		out["409"] = refused("The Idempotency-Key was used for something else, or things stand otherwise than you think.")
	}
	return out
}

func status(code int) string {
	return string([]byte{byte('0' + code/100), byte('0' + code/10%10), byte('0' + code%10)})
}

// of is the shape of a type: by reference where it has a name.
func (s schemas) of(t reflect.Type) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		inner := s.of(t.Elem())
		if kind, plain := inner["type"].(string); plain {
			inner["type"] = []string{kind, "null"}
			return inner
		}
		return map[string]any{"anyOf": []any{inner, map[string]any{"type": "null"}}}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Struct:
		if _, known := s[t.Name()]; !known {
			s[t.Name()] = nil // it may hold itself
			s[t.Name()] = s.object(t)
		}
		return ref(t.Name())
	default:
		return map[string]any{"type": kindOf(t.Kind())}
	}
}

func (s schemas) object(t reflect.Type) map[string]any {
	props, required := map[string]any{}, []string{}
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Anonymous {
				add(f.Type)
				continue
			}
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			kind := f.Type
			if options == "omitempty" && kind.Kind() == reflect.Pointer { // it is left out, and never null
				kind = kind.Elem()
			}
			schema := s.of(kind)
			if words := f.Tag.Get("doc"); words != "" {
				schema["description"] = words
			}
			if list := f.Tag.Get("enum"); list != "" {
				schema["enum"] = strings.Split(list, ",")
			}
			if props[name] = schema; options != "omitempty" {
				required = append(required, name)
			}
		}
	}
	add(t)
	return map[string]any{"type": "object", "properties": props, "required": required, "additionalProperties": false}
}

// kindOf is what JSON calls a kind.
func kindOf(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Float64:
		return "number"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice:
		return "array"
	default:
		return "integer"
	}
}
