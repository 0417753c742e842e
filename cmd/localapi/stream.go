package localapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// A line is one line of the answer to a request that takes time: what is
// happening, and at the end the result or the error.
type line[T any] struct {
	Step   *JoinStep `json:"step,omitempty"`
	Result *T        `json:"result,omitempty"`
	Error  *Error    `json:"error,omitempty"`
}

// stream answers with one JSON value per line, as things happen.
func stream[B, Req, T any](b B, do func(B, context.Context, Req, func(JoinStep)) (T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if err := body(r, &req); err != nil {
			reply(w, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		enc, out := json.NewEncoder(w), http.NewResponseController(w)
		send := func(l line[T]) {
			// A client that hung up cancels the request's context: the work ends by that.
			_ = enc.Encode(l)
			_ = out.Flush()
		}
		v, err := do(b, r.Context(), req, func(step JoinStep) { send(line[T]{Step: &step}) })
		if err != nil {
			send(line[T]{Error: AsError(err)})
			return
		}
		send(line[T]{Result: &v})
	})
}

// answers reads what stream sends.
func answers[T any](c Client, res *http.Response, progress func(JoinStep)) (v T, err error) {
	defer res.Body.Close()
	d := json.NewDecoder(io.LimitReader(res.Body, maxReply))
	for {
		var l line[T]
		if err := d.Decode(&l); err != nil {
			return v, c.broken(err)
		}
		switch {
		case l.Error != nil:
			return v, l.Error
		case l.Result != nil:
			return *l.Result, nil
		case l.Step != nil && progress != nil:
			progress(*l.Step)
		}
	}
}
