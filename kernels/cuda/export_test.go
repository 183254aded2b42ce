package cuda

// LoadFrom is Load with another driver.
var LoadFrom = load
