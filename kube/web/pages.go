package web

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strconv"
)

// page answers with a short page in plain words. The texts never repeat what
// is in a space the visitor did not already name.
func page(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	body := fmt.Sprintf("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n<h1>%s</h1>\n<p>%s</p>\n</html>\n",
		html.EscapeString(title), html.EscapeString(title), html.EscapeString(text))
	h := w.Header()
	secure(h, pagePolicy)
	h.Del("ETag")
	h.Del("Content-Encoding")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body)
	}
}

func misdirected(w http.ResponseWriter, r *http.Request) {
	page(w, r, http.StatusMisdirectedRequest, "No app has this address",
		"Apps of your spaces are opened on this computer, at addresses such as http://APP--SPACE.localhost. "+
			"The command \"echofs app list\" shows them. If an app was renamed, its address has changed with it.")
}

func front(w http.ResponseWriter, r *http.Request) {
	page(w, r, http.StatusNotFound, "echofs is running",
		"There is nothing to see at this address. The command \"echofs app list\" shows the addresses of your apps, "+
			"and \"echofs app open\" opens one.")
}

func badPath(w http.ResponseWriter, r *http.Request) {
	page(w, r, http.StatusBadRequest, "This address is not allowed",
		"The path has a part that no file of an app can have: a backslash, an encoded slash, an empty name, \".\" or \"..\".")
}

func notFound(w http.ResponseWriter, r *http.Request) {
	page(w, r, http.StatusNotFound, "There is no such file in this app",
		"It may have been moved or deleted, here or by somebody else who shares the space.")
}

func noIndex(w http.ResponseWriter, r *http.Request) {
	page(w, r, http.StatusNotFound, "This folder has no index.html",
		"An app starts with a file named index.html. Put one into the folder and load this page again.")
}

func notHere(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "2")
	page(w, r, http.StatusServiceUnavailable, "This file has not arrived yet",
		"Its content is still on other devices. Load the page again when one of them is online.")
}

func broken(w http.ResponseWriter, r *http.Request) {
	page(w, r, http.StatusInternalServerError, "This file could not be read",
		"The log of the daemon says why. Loading the page again may help.")
}
