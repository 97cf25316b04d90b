// Package web is the HTTP server of a database server, beside its event loops. It answers
//
//	/metrics  all figures, as Prometheus reads them
//	/healthz  ok, while the process serves and no event loop hangs
//	/readyz   whether the tables are loaded and changes can be kept; if not, 503 and why
//
// Listen opens the address before the tables are loaded; Serve gives the server its database.
// web.go has the server and its pages, admit.go says which requests are answered, conns.go bounds
// the connections, scrape.go and the files that it calls write the figures. A new page is a pattern
// in newMux.
//
// Every request but /healthz from this machine needs HTTP Basic: any user name, and the database's
// password. The package knows no tables, no files and no wire: what it shows comes from methods of
// loop.Server.
package web
