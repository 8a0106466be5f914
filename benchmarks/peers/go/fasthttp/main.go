// fasthttp with sonic, the fastest JSON of Go.
package main

import (
	"log"
	"runtime"
	"strings"

	"github.com/bytedance/sonic"
	"github.com/valyala/fasthttp"

	"megahertz/benchmarks/peers/shop"
)

var blob = shop.Blob()

func send(ctx *fasthttp.RequestCtx, value any) {
	body, err := sonic.Marshal(value)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}

func item(ctx *fasthttp.RequestCtx, sku string) {
	query := ctx.QueryArgs()
	found, err := shop.NewItem(sku, string(query.Peek("full")), string(query.Peek("limit")))
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusUnprocessableEntity)
		return
	}
	send(ctx, found)
}

func order(ctx *fasthttp.RequestCtx) {
	var order shop.Order
	if err := sonic.Unmarshal(ctx.PostBody(), &order); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusUnprocessableEntity)
		return
	}
	send(ctx, &order)
}

func stored(ctx *fasthttp.RequestCtx) {
	found, err := shop.Stored(ctx)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	send(ctx, found)
}

func scattered(ctx *fasthttp.RequestCtx) {
	found, err := shop.Scattered(ctx)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	send(ctx, found)
}

func gathered(ctx *fasthttp.RequestCtx) {
	found, err := shop.Gathered(ctx)
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	send(ctx, found)
}

func answer(ctx *fasthttp.RequestCtx) {
	switch path := string(ctx.Path()); {
	case path == "/" && ctx.IsGet():
		send(ctx, shop.Hello{Msg: "ok"})
	case strings.HasPrefix(path, "/items/"):
		item(ctx, path[len("/items/"):])
	case path == "/orders" && ctx.IsPost():
		order(ctx)
	case path == "/blob":
		ctx.SetContentType("application/octet-stream")
		ctx.Response.SetBodyRaw(blob)
	case path == "/yield":
		runtime.Gosched()
		send(ctx, shop.Hello{Msg: "ok"})
	case path == "/redis":
		stored(ctx)
	case path == "/cluster":
		scattered(ctx)
	case path == "/pipeline":
		gathered(ctx)
	default:
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

func main() {
	log.Fatal(fasthttp.ListenAndServe("127.0.0.1:"+shop.Port(), answer))
}
