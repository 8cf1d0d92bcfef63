// Command empty is the lower bound of a like's cost: a Gin handler that reads and stores
// nothing and answers as many bytes as tallycast.
package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/tallycast/tallycast/bench/peer/wire"
)

func main() {
	flags := wire.ParseFlags()
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	answer := []byte(`{"topic":"default/likes/b0","count":1,"version":1790000000000001,"mine":1,"changed":true}`)
	router.POST("/v1/:site/:metric/:key", func(c *gin.Context) {
		c.Data(http.StatusOK, "application/json", answer)
	})
	wire.Serve(flags.Listen, router)
}
