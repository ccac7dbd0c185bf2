module franz-go-cases

go 1.24
