// Greets, and sets up a schedule that calls it every hour.
package main

import (
	"fmt"

	"alga"
)

func init() {
	alga.Handle(new(alga.Router).On("GET", "/hello", hello).On("POST", "/setup", setup).On("POST", "/sync", sync).Handle)
}

func main() {}

func hello(request *alga.Request, _ *alga.Host) (alga.Response, error) {
	name, there := request.HTTP.Query("name")
	if !there {
		name = "world"
	}
	return alga.Text(200, "Hello, "+name+"!\n"), nil
}

func setup(_ *alga.Request, host *alga.Host) (alga.Response, error) {
	result := host.Scheduler.Create(alga.CreateScheduleInput{
		Endpoint: "POST /sync",
		Cron:     "0 * * * *",
		Name:     "Hourly sync",
		Payload:  map[string]any{"full": false},
	})
	if !result.Success {
		return alga.JSON(409, result), nil
	}
	return alga.JSON(201, result), nil
}

func sync(request *alga.Request, host *alga.Host) (alga.Response, error) {
	var body struct {
		Full bool `json:"full"`
	}
	if err := request.HTTP.JSON(&body); err != nil {
		return alga.Response{}, err
	}
	host.Logging.Info(fmt.Sprintf("Syncing, full: %t.", body.Full))
	return alga.Empty(204), nil
}
