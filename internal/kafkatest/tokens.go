package kafkatest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TokenEndpoint is an OAuth token endpoint for the client User with the secret
// Password; its tokens are unsigned, as the broker of deploy/kafka/broker.sh
// takes them.
type TokenEndpoint struct {
	URL string
	// Asked counts the tokens that were given.
	Asked atomic.Int32
}

// Tokens starts one whose tokens live that long, whole seconds.
func Tokens(tb testing.TB, life time.Duration) *TokenEndpoint {
	tb.Helper()
	e := &TokenEndpoint{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		if user != User || password != Password || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error": "invalid_client"}`))
			return
		}
		e.Asked.Add(1)
		encode := base64.RawURLEncoding.EncodeToString
		now := time.Now()
		// Whole seconds, rounded up: rounded down, a token dies up to a second before expires_in says so.
		end := now.Add(life + time.Second - time.Nanosecond).Unix()
		claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, User, now.Unix(), end)
		_, _ = fmt.Fprintf(w, `{"access_token":"%s.%s.","token_type":"Bearer","expires_in":%d}`,
			encode([]byte(`{"alg":"none"}`)), encode([]byte(claims)), int(life.Seconds()))
	}))
	tb.Cleanup(server.Close)
	e.URL = server.URL + "/token"
	return e
}
