// Package shop is what every Go server answers from: the same types, bytes and Redis.
package shop

import (
	"os"
	"strconv"
)

// Hello is the smallest answer.
type Hello struct {
	Msg string `json:"msg"`
}

// Item is what the path and the query said.
type Item struct {
	Sku   int  `json:"sku"`
	Full  bool `json:"full"`
	Limit int  `json:"limit"`
}

// Line is an article of an order.
type Line struct {
	Sku   int     `json:"sku"`
	Name  string  `json:"name"`
	Count int     `json:"count"`
	Price float64 `json:"price"`
}

// Order is some 1 KiB of JSON.
type Order struct {
	ID    int      `json:"id"`
	User  string   `json:"user"`
	Paid  bool     `json:"paid"`
	Total float64  `json:"total"`
	Note  string   `json:"note"`
	Tags  []string `json:"tags"`
	Lines []Line   `json:"lines"`
}

// NewItem reads the texts of a request's parameters.
func NewItem(sku, full, limit string) (Item, error) {
	number, err := strconv.Atoi(sku)
	if err != nil {
		return Item{}, err
	}
	most, err := strconv.Atoi(limit)
	if err != nil {
		return Item{}, err
	}
	return Item{Sku: number, Full: full == "true", Limit: most}, nil
}

// Blob gives 64 KiB.
func Blob() []byte {
	blob := make([]byte, 65536)
	for i := range blob {
		blob[i] = byte(i)
	}
	return blob
}

// Port is the only argument.
func Port() string {
	if len(os.Args) != 2 {
		panic("usage: " + os.Args[0] + " PORT")
	}
	return os.Args[1]
}
