// The standard library alone: net/http and encoding/json.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"runtime"
	"strconv"

	"megahertz/benchmarks/peers/shop"
)

func send(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

func item(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	found, err := shop.NewItem(r.PathValue("sku"), query.Get("full"), query.Get("limit"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	send(w, found)
}

func order(w http.ResponseWriter, r *http.Request) {
	var order shop.Order
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	send(w, &order)
}

func main() {
	blob := shop.Blob()
	size := strconv.Itoa(len(blob))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { send(w, shop.Hello{Msg: "ok"}) })
	mux.HandleFunc("GET /items/{sku}", item)
	mux.HandleFunc("POST /orders", order)
	mux.HandleFunc("GET /blob", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", size)
		w.Write(blob)
	})
	mux.HandleFunc("GET /yield", func(w http.ResponseWriter, r *http.Request) {
		runtime.Gosched()
		send(w, shop.Hello{Msg: "ok"})
	})
	mux.HandleFunc("GET /redis", func(w http.ResponseWriter, r *http.Request) {
		found, err := shop.Stored(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		send(w, found)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+shop.Port(), mux))
}
