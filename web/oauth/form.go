package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Form is what a client has sent, however it wrote it down: in the query, as a form, in parts, or as JSON. Lists are under name[], and an object in a list under
// name[0][field]; see normal.
type Form struct {
	Values url.Values
	Files  map[string]*multipart.FileHeader
	said   int // values so far
}

// What one request may say: so many values, and so many bytes that are no file.
const (
	maxFields = 1000
	maxText   = 1 << 20
)

// ErrForm says that a body could not be read.
var ErrForm = errors.New("the body could not be read")

// ReadForm reads the query and the body of a request: at most limit bytes of it, and of what is not in parts at most maxText. What says too much is refused as a whole
// (security.md FLO 180).
func ReadForm(w http.ResponseWriter, r *http.Request, limit int64) (*Form, error) {
	f := &Form{Values: url.Values{}, Files: map[string]*multipart.FileHeader{}}
	if err := f.read(r.URL.RawQuery); err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Body == nil || (r.Method == http.MethodGet || r.Method == http.MethodHead) && kind != "application/json" { // Mastodon.py asks by GET with JSON
		return f, nil
	}
	if kind == "multipart/form-data" {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		if err := r.ParseMultipartForm(maxText); err != nil {
			return nil, wrong(err)
		}
		if err := f.add(r.MultipartForm.Value); err != nil {
			return nil, err
		}
		for name, files := range r.MultipartForm.File {
			if len(files) > 0 {
				f.Files[name] = files[0]
			}
		}
		return f, nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, min(limit, maxText))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, wrong(err)
	}
	if len(body) == 0 {
		return f, nil
	}
	if kind == "application/json" || strings.HasSuffix(kind, "+json") {
		d := json.NewDecoder(strings.NewReader(string(body)))
		d.UseNumber()
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			return nil, wrong(err)
		}
		in := url.Values{}
		for key, value := range v {
			if err := flatten(in, key, value, 0); err != nil {
				return nil, err
			}
		}
		return f, f.add(in)
	}
	return f, f.read(string(body)) // also without a Content-Type, which some clients leave out
}

// read adds what is written as a query.
func (f *Form) read(query string) error {
	in, err := url.ParseQuery(query)
	if err != nil {
		return wrong(err)
	}
	return f.add(in)
}

func wrong(err error) error {
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return err
	}
	if errors.Is(err, multipart.ErrMessageTooLarge) {
		return &http.MaxBytesError{Limit: maxText}
	}
	return fmt.Errorf("%w: %w", ErrForm, err)
}

// flatten writes a value of JSON as a form would say it.
func flatten(out url.Values, key string, v any, depth int) error {
	if depth > 5 || len(out) > maxFields {
		return ErrForm
	}
	switch v := v.(type) {
	case nil:
	case string:
		out.Add(key, v)
	case bool:
		out.Add(key, strconv.FormatBool(v))
	case json.Number:
		out.Add(key, v.String())
	case []any:
		if len(v) == 0 {
			out[key+"[]"] = []string{} // said, and empty
		}
		for i, item := range v {
			sub := key + "[]"
			if _, isObject := item.(map[string]any); isObject {
				sub = key + "[" + strconv.Itoa(i) + "]"
			}
			if err := flatten(out, sub, item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range v {
			if err := flatten(out, key+"["+name+"]", item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Form) add(in url.Values) error {
	for key, values := range in {
		if f.said += max(len(values), 1); f.said > maxFields {
			return fmt.Errorf("%w: it says more than %d things", ErrForm, maxFields)
		}
		key = normal(key)
		f.Values[key] = append(f.Values[key], values...)
	}
	return nil
}

// normal writes a[0] as a[], which is what a list of plain values means; a number in the middle stays, it says which object a field is of.
func normal(key string) string {
	if !strings.HasSuffix(key, "]") {
		return key
	}
	i := strings.LastIndexByte(key, '[')
	if i < 0 {
		return key
	}
	if _, err := strconv.ParseUint(key[i+1:len(key)-1], 10, 16); err == nil {
		return key[:i] + "[]"
	}
	return key
}

// Has reports whether a value was sent, be it empty.
func (f *Form) Has(key string) bool {
	_, plain := f.Values[key]
	_, list := f.Values[key+"[]"]
	return plain || list
}

// Text is one value, or "".
func (f *Form) Text(key string) string { return f.Values.Get(key) }

// List is the values under a name, with brackets or without.
func (f *Form) List(key string) []string {
	return append(append([]string{}, f.Values[key+"[]"]...), f.Values[key]...)
}

// Bool is a value that means yes or no, or otherwise when there is none.
func (f *Form) Bool(key string, otherwise bool) bool {
	switch strings.ToLower(f.Text(key)) {
	case "true", "1", "on", "t", "yes":
		return true
	case "":
		return otherwise
	default:
		return false
	}
}

// Int is a number, or otherwise when there is none that can be read.
func (f *Form) Int(key string, otherwise int) int {
	n, err := strconv.Atoi(f.Text(key))
	if err != nil {
		return otherwise
	}
	return n
}
