package blob

// The names of the blobs in TestGolden.
const (
	goldenSmall = "73dbaba4ae88c14ccdd3d8bb8802bd861c0eae4e29d66fcdc1b7f2a337ebd72d"
	goldenLarge = "304b77ec5077aef64bdeade076c2839cc1b1dd9b3272244029b272350b6074de"
)
