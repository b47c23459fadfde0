package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"runtime"
	"sync"
)

type answer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

type report struct {
	Answers []answer          `json:"answers"`
	Cookies map[string]string `json:"cookies"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func request(client *http.Client, method, address string) answer {
	request, err := http.NewRequest(method, address, nil)
	must(err)
	response, err := client.Do(request)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	return answer{response.StatusCode, string(body)}
}

func main() {
	jar, err := cookiejar.New(nil)
	must(err)
	client := &http.Client{Jar: jar}
	fmt.Printf("Go %s, net/http/cookiejar\n", runtime.Version()[2:])
	output := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var method, address string
		var count int
		_, err := fmt.Sscan(lines.Text(), &method, &address, &count)
		must(err)
		found := report{make([]answer, count), map[string]string{}}
		var all sync.WaitGroup
		for number := range found.Answers {
			all.Add(1)
			go func(number int) {
				defer all.Done()
				found.Answers[number] = request(client, method, address)
			}(number)
		}
		all.Wait()
		parsed, err := url.Parse(address)
		must(err)
		for _, cookie := range jar.Cookies(parsed) {
			found.Cookies[cookie.Name] = cookie.Value
		}
		must(output.Encode(found))
	}
}
