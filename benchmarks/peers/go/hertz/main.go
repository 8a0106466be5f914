// Hertz on its own poller (netpoll) with sonic, both its defaults.
package main

import (
	"context"
	"runtime"

	"github.com/bytedance/sonic"
	"github.com/cloudwego/hertz/pkg/app"
	"github.com/cloudwego/hertz/pkg/app/server"
	"github.com/cloudwego/hertz/pkg/common/hlog"

	"megahertz/benchmarks/peers/shop"
)

func item(_ context.Context, c *app.RequestContext) {
	found, err := shop.NewItem(c.Param("sku"), c.Query("full"), c.Query("limit"))
	if err != nil {
		c.String(422, err.Error())
		return
	}
	c.JSON(200, found)
}

func order(_ context.Context, c *app.RequestContext) {
	var order shop.Order
	if err := sonic.Unmarshal(c.Request.Body(), &order); err != nil {
		c.String(422, err.Error())
		return
	}
	c.JSON(200, &order)
}

func stored(ctx context.Context, c *app.RequestContext) {
	found, err := shop.Stored(ctx)
	if err != nil {
		c.String(502, err.Error())
		return
	}
	c.JSON(200, found)
}

func main() {
	blob := shop.Blob()
	hlog.SetLevel(hlog.LevelFatal)
	h := server.New(server.WithHostPorts("127.0.0.1:" + shop.Port()))
	h.GET("/", func(_ context.Context, c *app.RequestContext) { c.JSON(200, shop.Hello{Msg: "ok"}) })
	h.GET("/items/:sku", item)
	h.POST("/orders", order)
	h.GET("/blob", func(_ context.Context, c *app.RequestContext) { c.Data(200, "application/octet-stream", blob) })
	h.GET("/yield", func(_ context.Context, c *app.RequestContext) {
		runtime.Gosched()
		c.JSON(200, shop.Hello{Msg: "ok"})
	})
	h.GET("/redis", stored)
	h.Spin()
}
