package kafkawire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const oauthCanary = "hush:canary/%"

// endpoint is a token endpoint without a network, for virtual time.
type endpoint struct {
	mu     sync.Mutex
	status int
	life   string // expires_in, "" for none
	body   string // instead of a token
	asked  int
	last   *http.Request
	form   url.Values
}

func (e *endpoint) RoundTrip(req *http.Request) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	form, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	e.last = req
	if e.form, err = url.ParseQuery(string(form)); err != nil {
		return nil, err
	}
	body := e.body
	if body == "" {
		body = `{"access_token": "token-` + strconv.Itoa(e.asked) + `", "token_type": "Bearer"` + e.life + `}`
	}
	return &http.Response{
		StatusCode: e.status, Body: io.NopCloser(strings.NewReader(body)), Request: req,
		Header: http.Header{"Location": {"http://elsewhere/"}},
	}, nil
}

func newTokens(t *testing.T, e *endpoint) *tokens {
	t.Helper()
	cfg := OAuthConfig{TokenEndpointURL: "https://id.example/token", ClientID: "scorer one", ClientSecret: oauthCanary, Scope: "kafka write"}
	m, err := cfg.mechanism(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m.http.Transport = e
	return m
}

func TestTheTokenIsAskedForOnceAndRenewedInGoodTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{status: 200, life: `, "expires_in": 100`}
		m := newTokens(t, e)
		want := func(when, token string) {
			t.Helper()
			if _, first, err := m.Start(t.Context()); err != nil || string(first) != "n,,\x01auth=Bearer "+token+"\x01\x01" {
				t.Errorf("%s: %q, %v; want %s", when, first, err, token)
			}
		}
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() { want("at once", "token-1") })
		}
		group.Wait()
		user, password, _ := e.last.BasicAuth()
		if user != "scorer+one" || password != url.QueryEscape(oauthCanary) || e.form.Get("grant_type") != "client_credentials" || e.form.Get("scope") != "kafka write" {
			t.Errorf("the request: user %q, form %v", user, e.form)
		}
		time.Sleep(79 * time.Second)
		want("before 80 %", "token-1")
		e.status = 503
		time.Sleep(2 * time.Second)
		want("the endpoint is down", "token-1")
		time.Sleep(20 * time.Second)
		if _, _, err := m.Start(t.Context()); err == nil || strings.Contains(err.Error(), oauthCanary) {
			t.Errorf("an expired token and no endpoint: %v", err)
		}
		e.status = 200
		want("the endpoint is back", "token-"+strconv.Itoa(e.asked+1))
		e.life = ""
		m.forget(t.Context(), m.token)
		want("no life told", "token-"+strconv.Itoa(e.asked+1))
		want("no life told, again", "token-"+strconv.Itoa(e.asked+1))
	})
}

func TestARefusedTokenIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTokens(t, &endpoint{status: 200, life: `, "expires_in": 100`})
		session, _, err := m.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done, reply, err := session.Next(t.Context(), []byte(`{"status":"invalid_token"}`)); done || string(reply) != "\x01" || err != nil {
			t.Errorf("Next(refusal) = %v, %q, %v", done, reply, err)
		}
		session, first, err := m.Start(t.Context())
		if err != nil || !strings.Contains(string(first), "token-2") {
			t.Errorf("the next login: %q, %v", first, err)
		}
		if done, _, err := session.Next(t.Context(), nil); !done || err != nil {
			t.Errorf("Next(nothing) = %v, %v", done, err)
		}
	})
}

func TestWrongAnswersOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		body    string
		refused bool
	}{
		"wrong secret":    {401, `{"error": "invalid_client", "error_description": "` + oauthCanary + `"}`, true},
		"wrong scope":     {400, `{"error": "invalid_scope"}`, true},
		"broken":          {500, "oops", false},
		"redirect":        {302, "", false},
		"no JSON":         {200, "<html>", false},
		"no token":        {200, `{"token_type": "bearer"}`, false},
		"other kind":      {200, `{"access_token": "x", "token_type": "mac"}`, false},
		"control in it":   {200, `{"access_token": "x\u0001auth=y", "token_type": "bearer"}`, false},
		"more than asked": {200, `{"access_token": "` + strings.Repeat("x", maxTokenAnswer) + `", "token_type": "bearer"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &endpoint{status: c.status, body: c.body}
			_, _, err := newTokens(t, e).Start(t.Context())
			if err == nil || errors.Is(err, ErrSASLAuthentication) != c.refused || !strings.Contains(err.Error(), "id.example") || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v", err)
			}
			if e.asked != 1 {
				t.Errorf("asked %d times: a redirect is followed", e.asked)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	m := newTokens(t, &endpoint{status: 200})
	m.turn <- struct{}{} // somebody else asks
	cancel()
	if _, _, err := m.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the token: %v", err)
	}
}

func TestOAuthMistakesNameTheCure(t *testing.T) {
	t.Parallel()
	good := OAuthConfig{TokenEndpointURL: "https://id/token", ClientID: "c", ClientSecret: "s"}
	empty := filepath.Join(t.TempDir(), "empty")
	writeFile(t, empty, nil)
	for want, change := range map[string]func(*SASLConfig){
		"token endpoint":     func(s *SASLConfig) { s.OAuth.TokenEndpointURL = "id/token" },
		"without user":       func(s *SASLConfig) { s.OAuth.TokenEndpointURL = "https://u:p@id/token" },
		"a client id":        func(s *SASLConfig) { s.OAuth.ClientID = "" },
		"no client secret":   func(s *SASLConfig) { s.OAuth.ClientSecret = "" },
		"given twice":        func(s *SASLConfig) { s.OAuth.ClientSecretFile = empty },
		"holds no PEM":       func(s *SASLConfig) { s.OAuth.CAFile = empty },
		"no user and passwo": func(s *SASLConfig) { s.Username = "u" },
	} {
		s := SASLConfig{Mechanism: "OAUTHBEARER", OAuth: good}
		change(&s)
		if err := (Security{SASL: s}).Apply(&Config{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
