// fasthttp answering the benchmark's hello: typed value to JSON, GET / only.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/valyala/fasthttp"
)

type hello struct {
	Msg string `json:"msg"`
}

func answer(ctx *fasthttp.RequestCtx) {
	if string(ctx.Path()) != "/" || !ctx.IsGet() {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	body, err := json.Marshal(hello{Msg: "ok"})
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: fasthttp PORT")
	}
	log.Fatal(fasthttp.ListenAndServe("127.0.0.1:"+os.Args[1], answer))
}
