// Gin without its logger, in release mode.
package main

import (
	"log"
	"runtime"

	"github.com/gin-gonic/gin"

	"megahertz/benchmarks/peers/shop"
)

func item(c *gin.Context) {
	found, err := shop.NewItem(c.Param("sku"), c.Query("full"), c.Query("limit"))
	if err != nil {
		c.String(422, err.Error())
		return
	}
	c.JSON(200, found)
}

func order(c *gin.Context) {
	var order shop.Order
	if err := c.ShouldBindJSON(&order); err != nil {
		c.String(422, err.Error())
		return
	}
	c.JSON(200, &order)
}

func stored(c *gin.Context) {
	found, err := shop.Stored(c)
	if err != nil {
		c.String(502, err.Error())
		return
	}
	c.JSON(200, found)
}

func main() {
	blob := shop.Blob()
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/", func(c *gin.Context) { c.JSON(200, shop.Hello{Msg: "ok"}) })
	r.GET("/items/:sku", item)
	r.POST("/orders", order)
	r.GET("/blob", func(c *gin.Context) { c.Data(200, "application/octet-stream", blob) })
	r.GET("/yield", func(c *gin.Context) {
		runtime.Gosched()
		c.JSON(200, shop.Hello{Msg: "ok"})
	})
	r.GET("/redis", stored)
	log.Fatal(r.Run("127.0.0.1:" + shop.Port()))
}
