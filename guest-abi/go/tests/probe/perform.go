// Code generated from guest-abi/schema by `make docs`. DO NOT EDIT.

package main

import (
	"alga"
	"alga/internal/msgpack"
)

func performOthers(operation string, body []byte, host *alga.Host) (alga.Response, error) {
	switch operation {
	case "clients.list":
		var input alga.ClientsListInput
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Clients.List(input))
	case "clients.get":
		var input struct {
			ClientID string `json:"clientId"`
		}
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Clients.Get(input.ClientID))
	case "http.fetch":
		var input alga.FetchInput
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.HTTP.Fetch(input))
	case "invoicing.create-manual-invoice":
		var input alga.CreateManualInvoiceInput
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Invoicing.CreateManualInvoice(input))
	case "secrets.get":
		var input struct {
			Key string `json:"key"`
		}
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Secrets.Get(input.Key))
	case "secrets.list-keys":
		return outcome(host.Secrets.ListKeys())
	case "services.list":
		var input alga.ServicesListInput
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Services.List(input))
	case "services.get":
		var input struct {
			ServiceID string `json:"serviceId"`
		}
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Services.Get(input.ServiceID))
	case "storage.get":
		var input struct {
			Namespace string `json:"namespace"`
			Key       string `json:"key"`
		}
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Storage.Get(input.Namespace, input.Key))
	case "storage.put":
		var input alga.StorageWrite
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Storage.Put(input))
	case "storage.delete":
		var input struct {
			Namespace string `json:"namespace"`
			Key       string `json:"key"`
		}
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(nil, host.Storage.Delete(input.Namespace, input.Key))
	case "storage.list":
		var input alga.StoragePage
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.Storage.List(input))
	case "ui-proxy.call-route":
		var input alga.RouteCall
		if err := msgpack.Decode(body, &input); err != nil {
			return alga.Response{}, err
		}
		return outcome(host.UIProxy.CallRoute(input))
	case "user.get":
		return outcome(host.User.Get())
	default:
		return found("", false)
	}
}
