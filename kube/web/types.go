package web

import "strings"

// kind is what a file's name says about its content.
type kind struct {
	mime     string
	compress bool // worth compressing
}

// kindOf returns the media type for a file name. The table is our own, since the
// one of the operating system differs from machine to machine and an app must not.
func kindOf(name string) kind {
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		ext = strings.ToLower(name[i+1:])
	}
	if m, ok := textTypes[ext]; ok {
		return kind{m + "; charset=utf-8", true}
	}
	if m, ok := compressible[ext]; ok {
		return kind{m, true}
	}
	if m, ok := packed[ext]; ok {
		return kind{m, false}
	}
	return kind{"application/octet-stream", false}
}

// textTypes are text and carry a charset.
var textTypes = map[string]string{
	"html":        "text/html",
	"htm":         "text/html",
	"css":         "text/css",
	"js":          "text/javascript",
	"mjs":         "text/javascript",
	"cjs":         "text/javascript",
	"json":        "application/json",
	"map":         "application/json",
	"jsonld":      "application/ld+json",
	"geojson":     "application/geo+json",
	"topojson":    "application/json",
	"ndjson":      "application/x-ndjson",
	"webmanifest": "application/manifest+json",
	"importmap":   "application/importmap+json",
	"xml":         "application/xml",
	"xsl":         "application/xslt+xml",
	"xslt":        "application/xslt+xml",
	"xhtml":       "application/xhtml+xml",
	"xht":         "application/xhtml+xml",
	"rss":         "application/rss+xml",
	"atom":        "application/atom+xml",
	"svg":         "image/svg+xml",
	"mathml":      "application/mathml+xml",
	"kml":         "application/vnd.google-earth.kml+xml",
	"gpx":         "application/gpx+xml",
	"txt":         "text/plain",
	"text":        "text/plain",
	"log":         "text/plain",
	"conf":        "text/plain",
	"ini":         "text/plain",
	"sh":          "text/plain",
	"go":          "text/plain",
	"rs":          "text/plain",
	"py":          "text/plain",
	"c":           "text/plain",
	"h":           "text/plain",
	"ts":          "text/plain",
	"tsx":         "text/plain",
	"jsx":         "text/plain",
	"vue":         "text/plain",
	"svelte":      "text/plain",
	"scss":        "text/plain",
	"less":        "text/plain",
	"glsl":        "text/plain",
	"wgsl":        "text/plain",
	"vert":        "text/plain",
	"frag":        "text/plain",
	"sql":         "text/plain",
	"toml":        "application/toml",
	"yaml":        "application/yaml",
	"yml":         "application/yaml",
	"md":          "text/markdown",
	"markdown":    "text/markdown",
	"csv":         "text/csv",
	"tsv":         "text/tab-separated-values",
	"vtt":         "text/vtt",
	"srt":         "text/plain",
	"ics":         "text/calendar",
	"vcf":         "text/vcard",
	"tex":         "text/plain",
	"diff":        "text/plain",
	"patch":       "text/plain",
}

// compressible are binary formats that are not packed in themselves.
var compressible = map[string]string{
	"wasm":   "application/wasm",
	"ttf":    "font/ttf",
	"otf":    "font/otf",
	"ttc":    "font/collection",
	"eot":    "application/vnd.ms-fontobject",
	"ico":    "image/x-icon",
	"cur":    "image/x-icon",
	"bmp":    "image/bmp",
	"tif":    "image/tiff",
	"tiff":   "image/tiff",
	"gltf":   "model/gltf+json",
	"glb":    "model/gltf-binary",
	"obj":    "model/obj",
	"stl":    "model/stl",
	"wav":    "audio/wav",
	"aif":    "audio/aiff",
	"aiff":   "audio/aiff",
	"pdf":    "application/pdf",
	"rtf":    "application/rtf",
	"ps":     "application/postscript",
	"tar":    "application/x-tar",
	"mid":    "audio/midi",
	"midi":   "audio/midi",
	"mpd":    "application/dash+xml",
	"m3u8":   "application/vnd.apple.mpegurl",
	"ktx":    "image/ktx",
	"pbf":    "application/x-protobuf",
	"bin":    "application/octet-stream",
	"data":   "application/octet-stream",
	"sqlite": "application/vnd.sqlite3",
	"db":     "application/octet-stream",
}

// packed are formats that compression does not help.
var packed = map[string]string{
	"png":     "image/png",
	"apng":    "image/apng",
	"jpg":     "image/jpeg",
	"jpeg":    "image/jpeg",
	"jfif":    "image/jpeg",
	"gif":     "image/gif",
	"webp":    "image/webp",
	"avif":    "image/avif",
	"heic":    "image/heic",
	"heif":    "image/heif",
	"jxl":     "image/jxl",
	"jp2":     "image/jp2",
	"svgz":    "application/octet-stream",
	"ktx2":    "image/ktx2",
	"woff":    "font/woff",
	"woff2":   "font/woff2",
	"mp3":     "audio/mpeg",
	"m4a":     "audio/mp4",
	"aac":     "audio/aac",
	"ogg":     "audio/ogg",
	"oga":     "audio/ogg",
	"opus":    "audio/ogg",
	"flac":    "audio/flac",
	"weba":    "audio/webm",
	"mp4":     "video/mp4",
	"m4v":     "video/mp4",
	"m4s":     "video/iso.segment",
	"webm":    "video/webm",
	"ogv":     "video/ogg",
	"mov":     "video/quicktime",
	"mkv":     "video/x-matroska",
	"avi":     "video/x-msvideo",
	"mpeg":    "video/mpeg",
	"mpg":     "video/mpeg",
	"3gp":     "video/3gpp",
	"zip":     "application/zip",
	"gz":      "application/gzip",
	"tgz":     "application/gzip",
	"bz2":     "application/x-bzip2",
	"xz":      "application/x-xz",
	"zst":     "application/zstd",
	"br":      "application/octet-stream",
	"7z":      "application/x-7z-compressed",
	"rar":     "application/vnd.rar",
	"epub":    "application/epub+zip",
	"jar":     "application/java-archive",
	"kmz":     "application/vnd.google-earth.kmz",
	"docx":    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"xlsx":    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pptx":    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"odt":     "application/vnd.oasis.opendocument.text",
	"ods":     "application/vnd.oasis.opendocument.spreadsheet",
	"odp":     "application/vnd.oasis.opendocument.presentation",
	"parquet": "application/vnd.apache.parquet",
	"pmtiles": "application/vnd.pmtiles",
	"onnx":    "application/octet-stream",
}
